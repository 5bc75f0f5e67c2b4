"""CLAP's loss: symmetric InfoNCE between the clips and captions of one batch, with no queue and no momentum encoder."""

from __future__ import annotations

from torch import Tensor

from larp_core.losses.contrast import Keys, contrast
from larp_core.losses.encoded import Features, same_track


def clap_contrast(
    features: Features, tracks_T: Tensor, temperature: Tensor | float, label_smoothing: float = 0.0
) -> Tensor:
    """Half of audio-to-text plus half of text-to-audio over the tracks that have both (Wu et al. 2023, equation 1)."""
    both = features.has_audio & features.has_text
    audio, text = features.audio[both], features.text[both]
    positives = same_track(tracks_T[both], tracks_T[both])
    takes_part = positives.new_ones(positives.shape)
    audio_to_text = contrast(audio, Keys(text, positives, takes_part), temperature, label_smoothing=label_smoothing)
    text_to_audio = contrast(text, Keys(audio, positives, takes_part), temperature, label_smoothing=label_smoothing)
    return (audio_to_text + text_to_audio) / 2
