"""The audio towers that LARP can stand on: HTS-AT, and AST and PANN's CNN14, which the paper tried (section 3.1).

All take the pipeline's log-mels [B, 1, 1001, 64] in dB and give a `pooler_output` [B, width]. Each begins with a batch
norm over mel bins: HTS-AT and CNN14 have one; before AST, whose own front end standardises its input, stands one here.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import ASTConfig, ASTModel, ClapAudioConfig
from transformers.models.clap.modeling_clap import ClapAudioModel

from larp_core.audio.mels.log_mel import NUM_FRAMES, NUM_MELS
from larp_core.config import AudioTowerConfig
from larp_core.model.cnn14 import Cnn14, Cnn14Config
from larp_core.model.mel_norm import MelNorm

TowerConfig = ClapAudioConfig | ASTConfig | Cnn14Config
CONFIGS: dict[str, Any] = {config.model_type: config for config in (ClapAudioConfig, ASTConfig, Cnn14Config)}
TITLES = {ClapAudioConfig.model_type: "HTS-AT", ASTConfig.model_type: "AST", Cnn14Config.model_type: "CNN14 (PANN)"}
AST_STRIDE = 10 / 16
"""Of the patch, as in the published AST: patches of 16 every 10."""


class AstTower(nn.Module):
    """An AST over 64 mels; the published one has 128, so its weights are a starting point."""

    def __init__(self, config: ASTConfig) -> None:
        super().__init__()
        self.mel_norm = nn.BatchNorm1d(config.num_mel_bins)
        self.ast = ASTModel(config)

    def forward(self, input_features: Tensor) -> Any:
        """Log-mel [B, 1, T, M] in dB -> `pooler_output` [B, width], the mean of the two tokens that AST has."""
        mels = self.mel_norm(input_features[:, 0].transpose(1, 2)).transpose(1, 2)
        return self.ast(input_values=mels)


def tower_config(config: AudioTowerConfig) -> TowerConfig:
    """What a recipe asks for; see `AudioTowerConfig` for how its fields are read."""
    if config.architecture == "pann":
        return Cnn14Config(width=config.width, block_dropout=config.dropout, vector_dropout=config.dropout)
    if config.architecture == "ast":
        return ASTConfig(
            hidden_size=config.width,
            num_hidden_layers=sum(config.depths),
            num_attention_heads=config.heads[0],
            intermediate_size=4 * config.width,
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
            patch_size=config.patch,
            frequency_stride=round(AST_STRIDE * config.patch),
            time_stride=round(AST_STRIDE * config.patch),
            max_length=NUM_FRAMES,
            num_mel_bins=NUM_MELS,
        )
    return ClapAudioConfig(
        patch_size=config.patch,
        patch_stride=[config.patch, config.patch],
        window_size=config.window,
        depths=list(config.depths),
        num_attention_heads=list(config.heads),
        num_hidden_layers=len(config.depths),
        patch_embeds_hidden_size=config.width,
        hidden_size=config.width * 2 ** (len(config.depths) - 1),
        hidden_dropout_prob=config.dropout,
    )


def read_tower_config(values: dict[str, Any]) -> TowerConfig:
    """A configuration from its dictionary; without a `model_type` it is HTS-AT's, as in every folder of before."""
    kind = CONFIGS[values.get("model_type") or ClapAudioConfig.model_type]
    found: TowerConfig = kind(**{name: value for name, value in values.items() if name != "model_type"})
    return found


def width_of(config: TowerConfig) -> int:
    """Width of the pooled output; HTS-AT's patch width doubles at each of its patch mergings."""
    if isinstance(config, ClapAudioConfig):
        return int(config.patch_embeds_hidden_size * 2 ** (len(config.depths) - 1))
    return int(config.hidden_size)


def build_tower(config: TowerConfig, train_mel_norm: bool) -> nn.Module:
    """A new tower. HTS-AT gets the batch norm of `larp_core.model.mel_norm` where that learns."""
    if isinstance(config, Cnn14Config):
        return Cnn14(config)
    if isinstance(config, ASTConfig):
        return AstTower(config)
    tower = ClapAudioModel(config)
    if train_mel_norm:
        encoder: Any = tower.audio_encoder
        encoder.batch_norm = MelNorm(config.num_mel_bins, encoder.spec_size * encoder.freq_ratio)
    return tower


def mel_norm_of(tower: Any) -> nn.Module:
    """The batch norm over mel bins that a tower begins with."""
    if isinstance(tower, Cnn14):
        return tower.bn0
    norm: nn.Module = tower.mel_norm if isinstance(tower, AstTower) else tower.audio_encoder.batch_norm
    return norm


def described(config: TowerConfig) -> str:
    """For the model's card."""
    title = TITLES[config.model_type]
    if isinstance(config, Cnn14Config):
        return f"{title}, from {config.width} channels, width {width_of(config)}"
    depths = [config.num_hidden_layers] if isinstance(config, ASTConfig) else list(config.depths)
    return f"{title}, depths {depths}, patch {config.patch_size}, width {width_of(config)}"
