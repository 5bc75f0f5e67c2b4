"""Running the two towers over tracks, where each track may lack one modality."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from larp_core.losses.encoded import Features
from larp_core.model.co_playlist import CoPlaylistModel
from larp_core.model.modeling_larp import LarpModel, fuse_modalities
from larp_core.training import distributed
from larp_core.training.synced_norm import unsynced_batch_norms
from larp_core.training.track_data import NO_MEL, TrackBatch, TrackData

TrackEncoder = LarpModel | CoPlaylistModel

INFERENCE_BATCH = 64
SETTLING_TRACKS = 256


def encode(model: TrackEncoder, batch: TrackBatch) -> Features:
    """Unit vectors [T, D] of both modalities; a missing one is zeros and marked as missing.

    Where the batch is shared out, each process encodes its share and gets everyone's features, with their gradient.
    """
    return Features(
        audio=_scattered(
            model, batch, batch.has_audio, batch.audio_rows, lambda: model.get_audio_features(batch.input_features)
        ),
        text=_scattered(
            model,
            batch,
            batch.has_text,
            batch.text_rows,
            lambda: _text_features(model, batch),
        ),
        has_audio=batch.has_audio,
        has_text=batch.has_text,
    )


def _text_features(model: TrackEncoder, batch: TrackBatch) -> Tensor:
    """Of the tracks at `text_rows`, a group of captions at a time."""
    assert not isinstance(model, CoPlaylistModel), "it hears alone, and no track of its batches has a caption"
    input_ids, attention_mask = batch.input_ids[batch.text_rows], batch.attention_mask[batch.text_rows]
    if len(batch.text_groups) < 2:
        return model.get_text_features(input_ids, attention_mask)
    pooled, start = [], 0
    for number, longest in batch.text_groups:
        some = slice(start, start + number)
        pooled.append(model.pooled_text(input_ids[some, :longest], attention_mask[some, :longest]))
        start += number
    return model.project_text(torch.cat(pooled), input_ids, attention_mask)


def _scattered(
    model: TrackEncoder, batch: TrackBatch, present: Tensor, rows: Tensor, features: Callable[[], Tensor]
) -> Tensor:
    """Features of the present tracks put back in their rows."""
    empty = torch.zeros(len(present), model.config.projection_dim, device=present.device)
    num_present = int(present.sum())
    if num_present == 0:
        return empty
    if batch.num_shares == 1:
        return empty.index_put((rows,), features())
    if num_present >= batch.num_shares:
        return distributed.all_reduce(empty.index_put((rows,), features()))
    with unsynced_batch_norms(model):  # fewer tracks than processes: every process encodes all of them
        return distributed.all_reduce(empty.index_put((rows,), features() / batch.num_shares))


def encode_all(model: TrackEncoder, data: TrackData, precision: str, *, shared_out: bool = False) -> Features:
    """Features of every track of `data`, in inference mode; the model's training mode is put back.

    The audio vector of a track with several clips is the mean of its clips' unit vectors, brought to unit length again:
    it weighs as much beside the caption as that of a single clip.

    Args:
        shared_out: every process calls this, encodes some of the tracks and gets all features.
    """
    device, was_training = model.device, model.training
    num_shares, share = (distributed.world_size(), distributed.rank()) if shared_out else (1, 0)
    model.eval()
    num_tracks, width = len(data.track_ids), model.config.projection_dim
    audio, text = (torch.zeros(num_tracks, width, device=device) for _ in range(2))
    chunks = np.array_split(np.arange(num_tracks), max(1, -(-num_tracks // INFERENCE_BATCH)))
    with torch.inference_mode(), autocast(device, precision):
        for chunk in chunks[share::num_shares]:
            part = encode(model, data.batch(chunk).to(device))
            audio[chunk], text[chunk] = _over_all_clips(model, data, chunk, part.audio), part.text
    model.train(was_training)
    if num_shares > 1:
        audio, text = distributed.all_reduce(audio), distributed.all_reduce(text)
    has_audio = torch.from_numpy(data.mel_rows != NO_MEL).to(device)
    return Features(audio, text, has_audio, data.has_text.clone().to(device))


def _over_all_clips(model: TrackEncoder, data: TrackData, positions: np.ndarray, first: Tensor) -> Tensor:
    """Audio vectors [T, D] of the tracks at `positions`, given those of their first clips."""
    mean, has_several = first.clone(), torch.zeros(len(first), 1, dtype=torch.bool, device=first.device)
    for tracks, mels in data.further_clips(positions):
        tracks = tracks.to(first.device)
        mean[tracks] += model.get_audio_features(mels.to(first.device))
        has_several[tracks] = True
    return torch.where(has_several, functional.normalize(mean, dim=-1), first)


def settle_batch_norms(model: TrackEncoder, data: TrackData, precision: str) -> None:
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
    # Every process settles them on the same tracks.
    with torch.no_grad(), autocast(model.device, precision), unsynced_batch_norms(model):
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
    """Half precision, bf16 or fp16, where the recipe asks for it; float32 otherwise."""
    half = torch.float16 if precision == "fp16" else torch.bfloat16
    with torch.autocast(device.type, dtype=half, enabled=precision != "fp32"):
        yield
