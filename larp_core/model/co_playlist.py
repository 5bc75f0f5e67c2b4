"""CoPlaylistModel: a ResNet over mels, trained to bring together tracks that share playlists. A `transformers` model.

Alonso-Jimenez et al. 2023 (arXiv 2304.12257), "CO-Playlist" in LARP's tables; no code or weights of it are published.
The representation is the ResNet's pooled output (2048 at full size), as LARP's code takes it; the contrast is made
behind a projection head that is not used afterwards (SimCLR).

Shapes: B tracks, W width of the representation, P of the projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel, ResNetConfig, ResNetModel

from larp_core.audio.mels.log_mel import NUM_MELS
from larp_core.config import CoPlaylistConfig
from larp_core.model.modeling_larp import refuse_other_shapes


class CoPlaylistModelConfig(PreTrainedConfig):
    """Configuration of `CoPlaylistModel`; see `larp_core.config.CoPlaylistConfig` for its fields."""

    model_type = "co_playlist"

    def __init__(
        self,
        stem: int = 64,
        widths: Sequence[int] = (256, 512, 1024, 2048),
        depths: Sequence[int] = (3, 4, 6, 3),
        head_width: int = 128,
        frames_pooled: int = 1,
        **kwargs: Any,
    ) -> None:
        self.stem, self.widths, self.depths = stem, list(widths), list(depths)
        self.head_width, self.frames_pooled = head_width, frames_pooled
        super().__init__(**kwargs)

    norm = "batch"
    """Its batch norms are settled before validation, as those of a small LARP."""

    def parts(self) -> dict[str, str]:
        """What the model is made of, for its card."""
        return {
            "audio tower": f"ResNet, bottleneck blocks {self.depths}, widths {self.widths}",
            "vector": f"{self.projection_dim} dimensions, pooled before the head that the contrast is made on",
        }

    @property
    def projection_dim(self) -> int:
        """Width of the representation, by the name under which `larp_core.training.encode` asks for it."""
        return int(self.widths[-1])


class CoPlaylistModel(PreTrainedModel):
    """A batch norm over mel bins (HTS-AT's front end), a ResNet, a projection head."""

    config: CoPlaylistModelConfig
    config_class = CoPlaylistModelConfig
    base_model_prefix = "co_playlist"
    main_input_name = "input_features"
    temperature = None

    def __init__(self, config: CoPlaylistModelConfig) -> None:
        super().__init__(config)
        width = config.projection_dim
        self.mel_norm = nn.BatchNorm1d(NUM_MELS, affine=False)
        self.resnet = ResNetModel(
            ResNetConfig(
                num_channels=1,
                embedding_size=config.stem,
                hidden_sizes=config.widths,
                depths=config.depths,
                layer_type="bottleneck",
            )
        )
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, config.head_width))
        self.post_init()

    def get_audio_features(self, input_features: Tensor) -> Tensor:
        """Log-mel [B, 1, 1001, 64] in dB -> unit vectors [B, W] (float32). Raises UserError for another shape."""
        refuse_other_shapes(input_features)
        mels = self.mel_norm(input_features[:, 0].transpose(1, 2))
        mels = functional.avg_pool1d(mels, self.config.frames_pooled).transpose(1, 2).unsqueeze(1)
        return functional.normalize(self.resnet(pixel_values=mels).pooler_output.flatten(1).float(), dim=-1)

    def contrasted(self, features: Tensor) -> Tensor:
        """Unit vectors [B, W] -> the head's unit vectors [B, P] (float32)."""
        unit_variance = features * self.config.projection_dim**0.5
        return functional.normalize(self.head(unit_variance).float(), dim=-1)

    def forward(self, input_features: Tensor) -> Tensor:
        return self.get_audio_features(input_features)


def build_co_playlist(config: CoPlaylistConfig, seed: int) -> CoPlaylistModel:
    """A new model drawn from `seed`."""
    torch.manual_seed(seed)
    return CoPlaylistModel(
        CoPlaylistModelConfig(config.stem, config.widths, config.depths, config.head_width, config.frames_pooled)
    )


AutoConfig.register(CoPlaylistModelConfig.model_type, CoPlaylistModelConfig)
AutoModel.register(CoPlaylistModelConfig, CoPlaylistModel)
