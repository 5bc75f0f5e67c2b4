"""Hand-made steps for the losses: small tensors, relations as plain matrices, and a naive NumPy twin of every loss."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from larp_core.losses.encoded import EncodedBatch, Features, LossOptions
from larp_core.losses.hard_negatives import TextHardness
from larp_core.model.momentum import FeatureQueue

TEMPERATURE = 0.2


def make_features(rng: np.random.Generator, rows: int, width: int, *, missing: float = 0.0) -> Features:
    """Random unit vectors; a share of the tracks lacks audio, another lacks text."""
    has_audio = torch.from_numpy(rng.random(rows) >= missing)
    has_text = torch.from_numpy(rng.random(rows) >= missing)

    def vectors(present: Tensor) -> Tensor:
        values = F.normalize(torch.from_numpy(rng.normal(size=(rows, width))), dim=-1)
        return (values * present[:, None]).requires_grad_()

    return Features(vectors(has_audio), vectors(has_text), has_audio, has_text)


def make_batch(
    seed: int,
    *,
    pairs: int = 5,
    queued: int = 7,
    num_tracks: int = 12,
    num_playlists: int = 4,
    missing: float = 0.0,
    queue_positives: str = "negative",
    diagonal: bool = False,
    soft_label_weight: float = 0.0,
    mask_false_negatives: bool = False,
    prunes: bool = False,
    text: TextHardness | None = None,
) -> tuple[EncodedBatch, np.ndarray]:
    """A step with `pairs` anchors and partners, and the membership matrix R [playlists, tracks] behind it.

    With `prunes`, pairs of an even and an odd track are pruned."""
    rng = np.random.default_rng(seed)
    width = 6
    membership = rng.random((num_playlists, num_tracks)) < 0.4
    together = (membership.T.astype(int) @ membership.astype(int)) > 0
    queue = FeatureQueue(queued + 2, width).double()
    past = make_features(rng, queued, width, missing=missing)
    queued_tracks = torch.from_numpy(rng.integers(0, num_tracks, queued))
    queue.push(past.audio.detach(), past.text.detach(), queued_tracks, past.has_audio, past.has_text)
    online = make_features(rng, 2 * pairs, width, missing=missing)

    def lookup(matrix: np.ndarray, left: Tensor, right: Tensor) -> Tensor:
        found = torch.from_numpy(matrix)[left][:, right.clamp(min=0)]
        return found & (right >= 0)[None, :]

    batch = EncodedBatch(
        tracks=torch.from_numpy(rng.permutation(num_tracks)[: 2 * pairs]),
        num_pairs=pairs,
        online=online,
        keys=online,
        momentum=make_features(rng, 2 * pairs, width),
        queue=queue,
        playlists=torch.from_numpy(rng.integers(0, num_playlists, pairs)),
        co_occurs=lambda left, right: lookup(together, left, right),
        contains=lambda left, right: lookup(membership, left, right),
        temperature=TEMPERATURE,
        options=LossOptions(
            queue_positives,  # type: ignore[arg-type]
            diagonal,
            soft_label_weight,
            mask_false_negatives=mask_false_negatives,
            text=text or TextHardness(),
        ),
        keeps=(lambda left, right: (left[:, None] + right[None, :]) % 2 == 0) if prunes else None,
    )
    return batch, membership


def naive_cross_entropy(
    query: np.ndarray, columns: list[tuple[np.ndarray, bool]], weights: list[float] | None = None
) -> float | None:
    """-sum over positives of log softmax / their number, one number at a time; None without a positive.

    `weights`: how often the last columns count; the others count once."""
    if not any(positive for _, positive in columns):
        return None
    counts = [1.0] * (len(columns) - len(weights or [])) + (weights or [])
    exponentials = [
        n * np.exp(float(query @ vector) / TEMPERATURE) for n, (vector, _) in zip(counts, columns, strict=True)
    ]
    total = sum(exponentials)
    logs = [np.log(e / total) for e, (_, positive) in zip(exponentials, columns, strict=True) if positive]
    return -float(np.mean(logs))


def mean_of(values: list[float | None]) -> float:
    kept = [value for value in values if value is not None]
    return float(np.mean(kept)) if kept else 0.0
