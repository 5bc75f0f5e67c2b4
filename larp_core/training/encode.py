"""Running the two towers over tracks, where each track may lack one modality."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from larp_core.losses.encoded import Features
from larp_core.model.modeling_larp import LarpModel, fuse_modalities
from larp_core.training.track_data import TrackBatch, TrackData

INFERENCE_BATCH = 64
SETTLING_TRACKS = 256


def encode(model: LarpModel, batch: TrackBatch) -> Features:
    """Unit vectors [T, D] of both modalities; a missing one is zeros and marked as missing."""
    has_audio, has_text = batch.has_audio, batch.has_text
    return Features(
        audio=_scattered(model, has_audio, lambda: model.get_audio_features(batch.input_features)),
        text=_scattered(
            model,
            has_text,
            lambda: model.get_text_features(batch.input_ids[has_text], batch.attention_mask[has_text]),
        ),
        has_audio=has_audio,
        has_text=has_text,
    )


def _scattered(model: LarpModel, present: Tensor, features: Callable[[], Tensor]) -> Tensor:
    """Features of the present tracks put back in their rows."""
    rows = torch.zeros(len(present), model.config.projection_dim, device=present.device)
    if not present.any():
        return rows
    return rows.index_put((present.nonzero().squeeze(1),), features())


def encode_all(model: LarpModel, data: TrackData, precision: str) -> Features:
    """Features of every track of `data`, in inference mode; the model's training mode is put back."""
    device, was_training = model.device, model.training
    model.eval()
    parts = []
    with torch.inference_mode(), autocast(device, precision):
        for positions in np.array_split(
            np.arange(len(data.track_ids)), max(1, -(-len(data.track_ids) // INFERENCE_BATCH))
        ):
            parts.append(encode(model, data.batch(positions).to(device)))
    model.train(was_training)
    names = ("audio", "text", "has_audio", "has_text")
    return Features(*(torch.cat([getattr(part, name) for part in parts]).clone() for name in names))


def settle_batch_norms(model: LarpModel, data: TrackData, precision: str) -> None:
    """Sets the running statistics of every batch norm to the mean over a few train batches with the current weights.

    A small world has few steps an epoch, and running averages lag behind weights that move fast ("precise BN", Wu and
    Johnson 2021). Pretrained towers keep the statistics that they came with: this is for `norm="batch"` models only.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average
    was_training = model.training
    model.train()
    positions = np.linspace(0, len(data.track_ids) - 1, min(SETTLING_TRACKS, len(data.track_ids))).astype(np.int64)
    with torch.no_grad(), autocast(model.device, precision):
        for chunk in np.array_split(positions, max(1, len(positions) // INFERENCE_BATCH)):
            encode(model, data.batch(chunk).to(model.device))
    model.train(was_training)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def track_vectors(features: Features) -> np.ndarray:
    """e = mean(a, t) of every track, float32 [N, D]."""
    fused = fuse_modalities(features.audio, features.text, features.has_audio, features.has_text)
    return fused.float().cpu().numpy()


@contextlib.contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """bf16 mixed precision where the recipe asks for it; float32 otherwise."""
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
        yield
