"""LarpModel: HTS-AT and BERT, each projected to one shared space (paper, section 3.1). A `transformers` model.

Shapes: B tracks, L caption tokens, D = projection width (256 in the paper).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.models.bert.modeling_bert import BertModel
from transformers.models.clap.modeling_clap import ClapAudioModel

from larp_core.errors import UserError
from larp_core.model.configuration_larp import LarpConfig
from larp_core.model.fusion import SelfAttentionFusion

MEL_SHAPE = (1, 1001, 64)


class LarpModel(PreTrainedModel):
    """Two towers, two projections and the playlist fusion of stage 3 (used in training only)."""

    config: LarpConfig
    config_class = LarpConfig
    base_model_prefix = "larp"
    main_input_name = "input_features"

    def __init__(self, config: LarpConfig) -> None:
        super().__init__(config)
        self.audio_model = ClapAudioModel(config.audio_config)
        self.text_model = BertModel(config.text_config, add_pooling_layer=False)
        self.audio_norm = _norm(config.norm, config.audio_width)
        self.text_norm = _norm(config.norm, config.text_config.hidden_size)
        self.audio_projection = nn.Linear(config.audio_width, config.projection_dim)
        self.text_projection = nn.Linear(config.text_config.hidden_size, config.projection_dim)
        self.playlist_fusion = SelfAttentionFusion(config.projection_dim)
        self.post_init()
        self.playlist_fusion.reset()
        self.audio_model.audio_encoder.batch_norm.requires_grad_(config.train_mel_norm)

    def pooled_audio(self, input_features: Tensor) -> Tensor:
        """Log-mel [B, 1, 1001, 64] in dB -> HTS-AT's pooled latent [B, width].

        Raises:
            UserError: any other shape. ClapAudioModel itself resizes or fails oddly, and a wrong rate or clip length
                would pass unseen.
        """
        if input_features.shape[1:] != MEL_SHAPE:
            got = tuple(input_features.shape)
            raise UserError(f"input_features has shape {got}, needs [batch, 1, 1001, 64]: 10 s at 48 kHz as log-mel")
        return self.audio_model(input_features=input_features).pooler_output

    def pooled_text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids [B, L] -> BERT's CLS vector [B, width]."""
        return self.text_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state[:, 0]

    def get_audio_features(self, input_features: Tensor) -> Tensor:
        """Log-mel [B, 1, 1001, 64] -> unit vectors a [B, D] (float32)."""
        return F.normalize(self.audio_projection(self.audio_norm(self.pooled_audio(input_features))).float(), dim=-1)

    def get_text_features(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids [B, L] -> unit vectors t [B, D] (float32)."""
        pooled = self.pooled_text(input_ids, attention_mask)
        return F.normalize(self.text_projection(self.text_norm(pooled)).float(), dim=-1)


def fuse_modalities(audio_BD: Tensor, text_BD: Tensor, has_audio_B: Tensor, has_text_B: Tensor) -> Tensor:
    """e = mean(a, t) over the modalities that each track has (paper, equation 11); [B, D], not normalised."""
    weights_B2 = torch.stack([has_audio_B, has_text_B], dim=1).to(audio_BD.dtype)
    total_BD = audio_BD * weights_B2[:, :1] + text_BD * weights_B2[:, 1:]
    return total_BD / weights_B2.sum(1, keepdim=True).clamp(min=1.0)


def _norm(kind: str, width: int) -> nn.Module:
    return nn.BatchNorm1d(width, affine=False) if kind == "batch" else nn.Identity()
