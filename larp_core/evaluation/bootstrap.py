"""Percentile bootstrap over playlists (Efron 1979): how far a mean could move with other playlists of the same kind."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CHUNK_CELLS = 4_000_000


class Interval(NamedTuple):
    """A mean and its bootstrap interval."""

    mean: float
    low: float
    high: float


def bootstrap_intervals(
    values: np.ndarray, *, samples: int = 2_000, confidence: float = 0.95, seed: int = 42
) -> list[Interval]:
    """Mean and interval of every column of `values` [P, M]; all columns share the same resamples of the P playlists.

    Raises:
        ValueError: no playlists.
    """
    num_playlists = len(values)
    if num_playlists == 0:
        raise ValueError("nothing to resample: no playlists")
    means = _resampled_means(np.asarray(values, np.float64), samples, seed)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail], axis=0)
    return [Interval(float(m), float(a), float(b)) for m, a, b in zip(values.mean(axis=0), low, high, strict=True)]


def paired_difference(
    a: np.ndarray, b: np.ndarray, *, samples: int = 2_000, confidence: float = 0.95, seed: int = 42
) -> Interval:
    """Mean of `a - b` and its interval, where a[i] and b[i] are two rows' values on the same playlist; both [P].

    Raises:
        ValueError: lengths differ, or no playlists.
    """
    if np.shape(a) != np.shape(b):
        raise ValueError(f"cannot pair {np.shape(a)} with {np.shape(b)} values: they must be of the same playlists")
    differences = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    return bootstrap_intervals(differences[:, None], samples=samples, confidence=confidence, seed=seed)[0]


def _resampled_means(values: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Means of `samples` resamples with replacement: float64 [samples, M]."""
    num_playlists = len(values)
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK_CELLS // num_playlists)
    means = []
    for start in range(0, samples, step):
        size = min(step, samples - start)
        drawn = generator.integers(num_playlists, size=(size, num_playlists))
        cells = drawn + np.arange(size)[:, None] * num_playlists
        counts = np.bincount(cells.ravel(), minlength=size * num_playlists).reshape(size, num_playlists)
        means.append(counts.astype(np.float64) @ values / num_playlists)
    return np.concatenate(means)
