"""LarpModel: an audio tower and BERT, each projected to one shared space (paper, section 3.1), for `transformers`.

Shapes: B tracks, L caption tokens, D = projection width (256 in the paper).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModel, PreTrainedModel
from transformers.models.bert.modeling_bert import BertModel
from transformers.utils import ModelOutput

from larp_core.model.audio_towers import build_tower, mel_norm_of
from larp_core.model.configuration_larp import LarpConfig
from larp_core.model.fusion import SelfAttentionFusion
from larp_core.model.lexical import LexicalBag
from larp_core.runtime.errors import UserError

if TYPE_CHECKING:
    from larp_core.model.processing_larp import LarpProcessor

MEL_SHAPE = (1, 1001, 64)
ENCODING_BATCH = 32


@dataclass
class LarpOutput(ModelOutput):
    """What `LarpModel.forward` gives; None for a modality that was not given.

    Attributes:
        audio_embeds, text_embeds: unit vectors a and t [B, D].
        track_embeds: e = mean of the given ones (paper, equation 11) [B, D], not normalised.
    """

    audio_embeds: Tensor | None = None
    text_embeds: Tensor | None = None
    track_embeds: Tensor | None = None


class LarpModel(PreTrainedModel):
    """Two towers, two projections and the playlist fusion of stage 3 (used in training only)."""

    config: LarpConfig
    config_class = LarpConfig
    base_model_prefix = "larp"
    main_input_name = "input_features"

    def __init__(self, config: LarpConfig) -> None:
        super().__init__(config)
        self.audio_model = build_tower(config.audio_config, config.train_mel_norm)
        self.text_model = BertModel(config.text_config, add_pooling_layer=False)
        self.audio_norm = _norm(config.norm, config.audio_width)
        self.text_norm = _norm(config.norm, config.text_config.hidden_size)
        self.audio_projection = nn.Linear(config.audio_width, config.projection_dim)
        self.text_projection = nn.Linear(config.text_config.hidden_size, config.projection_dim)
        self.playlist_fusion = SelfAttentionFusion(config.projection_dim)
        self.lexical: LexicalBag | None = None
        if config.lexical:
            self.lexical = LexicalBag(config.text_config.vocab_size, config.projection_dim)
        self.temperature = (
            nn.Parameter(torch.tensor(config.contrast_temperature)) if config.learned_temperature else None
        )
        self.post_init()
        self.playlist_fusion.reset()
        if self.lexical is not None:
            self.lexical.reset()
        mel_norm_of(self.audio_model).requires_grad_(config.train_mel_norm)

    def pooled_audio(self, input_features: Tensor) -> Tensor:
        """Log-mel [B, 1, 1001, 64] in dB -> the audio tower's pooled latent [B, width].

        Raises:
            UserError: any other shape. ClapAudioModel itself resizes or fails oddly, and a wrong rate or clip length
                would pass unseen.
        """
        refuse_other_shapes(input_features)
        return self.audio_model(input_features=input_features).pooler_output

    def pooled_text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids [B, L] -> BERT's CLS vector [B, width]."""
        return self.text_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state[:, 0]

    def get_audio_features(self, input_features: Tensor) -> Tensor:
        """Log-mel [B, 1, 1001, 64] -> unit vectors a [B, D] (float32)."""
        return F.normalize(self.audio_projection(self.audio_norm(self.pooled_audio(input_features))).float(), dim=-1)

    def get_text_features(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids [B, L] -> unit vectors t [B, D] (float32)."""
        return self.project_text(self.pooled_text(input_ids, attention_mask), input_ids, attention_mask)

    def project_text(self, pooled: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """BERT's CLS vectors [B, width], and the tokens [B, L] that they are of -> unit vectors t [B, D] (float32)."""
        projected = self.text_projection(self.text_norm(pooled))
        if self.lexical is not None:
            projected = self.lexical(input_ids, attention_mask, projected)
        return F.normalize(projected.float(), dim=-1)

    def forward(
        self,
        input_features: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_dict: bool = True,
    ) -> LarpOutput | tuple[Tensor, ...]:
        """Vectors of B tracks that all have the given modalities; for mixed ones see `encode_tracks`.

        Args:
            input_features: log-mel [B, 1, 1001, 64]; input_ids, attention_mask: [B, L] (no mask: no padding).

        Raises:
            UserError: neither a clip nor a caption, different numbers of them, or a clip of another shape.
        """
        if input_features is None and input_ids is None:
            raise UserError("LarpModel needs input_features, input_ids, or both")
        audio = text = None
        if input_features is not None:
            audio = self.get_audio_features(input_features)
        if input_ids is not None:
            text = self.get_text_features(
                input_ids, torch.ones_like(input_ids) if attention_mask is None else attention_mask
            )
        given = [vectors for vectors in (audio, text) if vectors is not None]
        if len({len(vectors) for vectors in given}) > 1:
            raise UserError(f"{len(given[0])} clips but {len(given[1])} captions; a track without one: encode_tracks")
        output = LarpOutput(audio_embeds=audio, text_embeds=text, track_embeds=torch.stack(given).mean(0))
        return output if return_dict else output.to_tuple()

    @torch.inference_mode()
    def encode_tracks(
        self,
        processor: LarpProcessor,
        audio: Sequence[np.ndarray | None],
        captions: Sequence[str | None],
        batch_size: int = ENCODING_BATCH,
        **audio_options: Any,
    ) -> Tensor:
        """e of N tracks, float32 [N, D] on the model's device, each from what is there of its sound and caption.

        Args:
            audio: mono waveforms, None where there is none.
            captions: None where there is none.
            audio_options: `sampling_rate` and, for clips that don't last 10 s, `crop` or `pad`; see `LarpProcessor`.

        Raises:
            UserError: a track with neither, or a waveform that the processor refuses.
        """
        if len(audio) != len(captions):
            raise UserError(
                f"encode_tracks: {len(audio)} clips but {len(captions)} captions; give None for what is not there"
            )
        empty = [
            n for n, (wave, caption) in enumerate(zip(audio, captions, strict=True)) if wave is None and not caption
        ]
        if empty:
            raise UserError(f"encode_tracks: track {empty[0]} has neither sound nor caption; leave it out")
        was_training = self.training
        self.eval()
        parts = []
        for start in range(0, len(audio), batch_size):
            some = slice(start, start + batch_size)
            parts.append(self._encode_some(processor, audio[some], captions[some], audio_options))
        self.train(was_training)
        return torch.cat(parts) if parts else torch.zeros(0, self.config.projection_dim, device=self.device)

    def _encode_some(
        self,
        processor: LarpProcessor,
        audio: Sequence[np.ndarray | None],
        captions: Sequence[str | None],
        audio_options: dict[str, Any],
    ) -> Tensor:
        waves = {n: wave for n, wave in enumerate(audio) if wave is not None}
        names = {n: caption for n, caption in enumerate(captions) if caption}
        heard, named = list(waves), list(names)
        a, t = torch.zeros(2, len(audio), self.config.projection_dim, device=self.device)
        if heard:
            mels = processor(audio=list(waves.values()), **audio_options).to(self.device)
            a[heard] = self.get_audio_features(**mels)
        if named:
            tokens = processor(text=list(names.values())).to(self.device)
            t[named] = self.get_text_features(**tokens)
        rows = torch.arange(len(audio), device=self.device)
        has_audio, has_text = (torch.isin(rows, rows[present]) for present in (heard, named))
        return fuse_modalities(a, t, has_audio, has_text)


def refuse_other_shapes(input_features: Tensor) -> None:
    """Raises UserError for anything but [B, 1, 1001, 64]."""
    if input_features.shape[1:] != MEL_SHAPE:
        got = tuple(input_features.shape)
        raise UserError(f"input_features has shape {got}, needs [batch, 1, 1001, 64]: 10 s at 48 kHz as log-mel")


def fuse_modalities(audio_BD: Tensor, text_BD: Tensor, has_audio_B: Tensor, has_text_B: Tensor) -> Tensor:
    """e = mean(a, t) over the modalities that each track has (paper, equation 11); [B, D], not normalised."""
    weights_B2 = torch.stack([has_audio_B, has_text_B], dim=1).to(audio_BD.dtype)
    total_BD = audio_BD * weights_B2[:, :1] + text_BD * weights_B2[:, 1:]
    return total_BD / weights_B2.sum(1, keepdim=True).clamp(min=1.0)


class SingleRowBatchNorm(nn.BatchNorm1d):
    """A batch norm that takes a batch of one row by its running statistics: one row has no variance.

    In training a step may hold a single track with audio.
    """

    def forward(self, input: Tensor) -> Tensor:
        if self.training and len(input) == 1:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(input)


def _norm(kind: str, width: int) -> nn.Module:
    return SingleRowBatchNorm(width, affine=False) if kind == "batch" else nn.Identity()


AutoModel.register(LarpConfig, LarpModel)
