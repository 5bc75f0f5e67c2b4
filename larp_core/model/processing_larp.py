"""LarpProcessor: from waveforms and captions to the model's inputs, the same numbers as the pipeline's own mels.

A clip is exactly 10 s. What lasts longer or shorter is refused unless the caller says what to do with it, since CLAP's
own extractor crops at random, and neither a wrong rate nor a cut would show in the shapes.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import soxr
import torch
from transformers import AutoFeatureExtractor, AutoProcessor, BatchFeature, FeatureExtractionMixin, ProcessorMixin
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from larp_core.audio.mels.log_mel import NUM_SAMPLES, SAMPLE_RATE_HZ, log_mel
from larp_core.model.configuration_larp import LarpConfig
from larp_core.runtime.errors import UserError

CROPS, PADS = ("start", "center"), ("zeros", "repeat")


class LarpFeatureExtractor(FeatureExtractionMixin):
    """Mono waveforms of any rate -> log-mel `input_features` [B, 1, 1001, 64], float32 in dB.

    The pipeline stores the same numbers as float16.
    """

    model_input_names = ["input_features"]  # noqa: RUF012

    def __call__(
        self,
        audio: np.ndarray | torch.Tensor | Sequence[np.ndarray],
        sampling_rate: int | None = None,
        crop: str | None = None,
        pad: str | None = None,
        return_tensors: str = "pt",
    ) -> BatchFeature:
        """Log-mels of one waveform [samples] or of several, given as a sequence of such or an array [B, samples].

        Args:
            sampling_rate: of all of them, in Hz. Other rates than 48 kHz are resampled with soxr (band-limited).
            crop: of a longer clip, which 10 s to keep: `start` or `center`.
            pad: how to fill a shorter one up to 10 s: `zeros` after it, or `repeat` it.

        Raises:
            UserError: no rate, not mono, empty, or not 10 s with no word on what to do.
        """
        if not sampling_rate or sampling_rate <= 0:
            raise UserError("sampling_rate: give the waveforms' rate in Hz; it is not guessed")
        if crop not in (None, *CROPS) or pad not in (None, *PADS):
            raise UserError(
                f"crop is one of {', '.join(CROPS)}, pad one of {', '.join(PADS)}; got {crop!r} and {pad!r}"
            )
        single = hasattr(audio, "ndim") and audio.ndim == 1
        waves = [np.asarray(wave, dtype=np.float32) for wave in ([audio] if single else audio)]
        clips = [_clip(n, wave, sampling_rate, crop, pad) for n, wave in enumerate(waves)]
        mels = torch.from_numpy(log_mel(np.stack(clips))).unsqueeze(1)
        return BatchFeature({"input_features": mels}, tensor_type=return_tensors)


class LarpProcessor(ProcessorMixin):
    """`processor(audio=..., sampling_rate=..., text=...)` -> `input_features`, `input_ids`, `attention_mask`."""

    def __init__(self, feature_extractor: LarpFeatureExtractor, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(feature_extractor, tokenizer)

    @classmethod
    def around(cls, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> LarpProcessor:
        """The processor of a model with this tokenizer (a copy of it), which cuts captions to `max_tokens`."""
        tokenizer = copy.deepcopy(tokenizer)
        tokenizer.model_max_length = max_tokens
        return cls(LarpFeatureExtractor(), tokenizer)

    def __call__(
        self,
        audio: np.ndarray | torch.Tensor | Sequence[np.ndarray] | None = None,
        text: str | Sequence[str] | None = None,
        sampling_rate: int | None = None,
        crop: str | None = None,
        pad: str | None = None,
        return_tensors: str = "pt",
    ) -> BatchFeature:
        """The model's inputs for clips, captions or both; see `LarpFeatureExtractor` for the audio's arguments.

        Captions are padded to the longest of them and cut to the model's number of tokens.

        Raises:
            UserError: neither audio nor text, or audio that is refused.
        """
        if audio is None and text is None:
            raise UserError("LarpProcessor needs audio, text, or both")
        data: dict[str, Any] = {}
        if audio is not None:
            data |= self.feature_extractor(audio, sampling_rate, crop, pad, return_tensors)
        if text is not None:
            captions = [text] if isinstance(text, str) else list(text)
            tokens = self.tokenizer(captions, padding=True, truncation=True, return_tensors=return_tensors)
            data |= {name: tokens[name] for name in ("input_ids", "attention_mask")}
        return BatchFeature(data, tensor_type=return_tensors)


def _clip(number: int, wave: np.ndarray, rate: int, crop: str | None, pad: str | None) -> np.ndarray:
    """Exactly 480,000 samples at 48 kHz."""
    if wave.ndim != 1 or not len(wave):
        raise UserError(f"audio {number}: shape {wave.shape}; give mono waveforms [samples], averaged over channels")
    resampled = wave if rate == SAMPLE_RATE_HZ else soxr.resample(wave, rate, SAMPLE_RATE_HZ, quality="HQ")
    surplus = len(resampled) - NUM_SAMPLES
    seconds = len(wave) / rate
    if surplus > 0:
        if crop is None:
            raise UserError(f"audio {number} lasts {seconds:.3f} s, a clip 10 s; say crop='start' or crop='center'")
        start = 0 if crop == "start" else surplus // 2
        return resampled[start : start + NUM_SAMPLES]
    if surplus < 0:
        if pad is None:
            raise UserError(f"audio {number} lasts {seconds:.3f} s, a clip 10 s; say pad='zeros' or pad='repeat'")
        return np.resize(resampled, NUM_SAMPLES) if pad == "repeat" else np.pad(resampled, (0, -surplus))
    return resampled


AutoFeatureExtractor.register(LarpConfig, LarpFeatureExtractor)
AutoProcessor.register(LarpConfig, LarpProcessor)
