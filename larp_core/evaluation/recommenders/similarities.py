"""What ItemKNN may mean by "near": inner product, cosine, or cosine after the train tracks' mean, or their mean and
covariance, are taken out.

Vectors of one encoder often point the same way, all of them; centred or whitened ones tell tracks apart better
(whitening: Su et al., arXiv 2103.15316).
"""

from __future__ import annotations

import numpy as np

from larp_core.config import Similarity
from larp_core.runtime.errors import UserError

SMALLEST_VARIANCE = 1e-6
"""Directions with less than this share of the largest variance are left out: they hold rounding errors."""


def prepare(similarity: Similarity, vectors: np.ndarray, is_train: np.ndarray) -> np.ndarray:
    """Vectors [M, D] -> float [M, at most D] whose `dot` or cosine is the similarity; themselves for these two.

    Mean and covariance come from the rows with `is_train` alone. The covariance is shrunk towards a multiple of the
    identity (Ledoit and Wolf 2004), since there may be fewer train tracks than dimensions.

    Raises:
        UserError: centred or whitened without a train track to learn from.
    """
    if similarity in ("dot", "cosine"):
        return vectors
    vectors = np.asarray(vectors, np.float64)
    if not is_train.any():
        raise UserError(f"evaluation.similarity {similarity}: no train track has a vector; choose cosine or dot")
    centred = vectors - vectors[is_train].mean(axis=0)
    return centred if similarity == "centred" else _whitened(centred, is_train)


def _whitened(centred: np.ndarray, is_train: np.ndarray) -> np.ndarray:
    """[M, at most D], turned some way or other, which no product of two vectors shows."""
    from sklearn.covariance import ledoit_wolf_shrinkage

    train = centred[is_train]
    shrinkage = ledoit_wolf_shrinkage(train, assume_centered=True)
    floor = shrinkage * np.square(train).mean()
    if len(train) < train.shape[1]:
        return _whitened_thin(centred, train, shrinkage, floor)
    covariance = (1 - shrinkage) * (train.T @ train / len(train)) + floor * np.eye(train.shape[1])
    variances, directions = np.linalg.eigh(covariance)
    kept = variances > SMALLEST_VARIANCE * variances.max()
    return centred @ (directions[:, kept] / np.sqrt(variances[kept]))


def _whitened_thin(centred: np.ndarray, train: np.ndarray, shrinkage: float, floor: float) -> np.ndarray:
    """The same for fewer train tracks than dimensions, without a matrix of D x D, which takes minutes at 8,640.

    Outside the space of the train tracks every direction has the variance `floor`.
    """
    _, lengths, directions = np.linalg.svd(train, full_matrices=False)
    variances = (1 - shrinkage) * np.square(lengths) / len(train) + floor
    inside = centred @ directions.T
    kept = variances > SMALLEST_VARIANCE * variances.max()
    if floor <= SMALLEST_VARIANCE * variances.max():
        return inside[:, kept] / np.sqrt(variances[kept])
    return centred / np.sqrt(floor) + (inside * (1 / np.sqrt(variances) - 1 / np.sqrt(floor))) @ directions
