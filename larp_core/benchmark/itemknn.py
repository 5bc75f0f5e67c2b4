"""ItemKNN: the candidates nearest in cosine to the mean of a playlist's seed vectors (LARP section 3.3, Eq. 12).

NumPy alone, since the training loop scores the validation split with it after every epoch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from larp_core.benchmark.holdouts import Holdouts
from larp_core.benchmark.metrics import evaluate_ranking, values_frame
from larp_core.benchmark.ranking import hash_order, rank_by, rows_of

COSINE_DECIMALS = 9
BELOW_ANY_COSINE = -2.0


def rank(holdouts: Holdouts, track_ids: np.ndarray, vectors: np.ndarray, k: int) -> np.ndarray:
    """The k nearest candidates of each playlist, best first: int32 [P, k], -1 where there are fewer than k.

    Cosines are rounded to nine decimals and ties broken by the track's hash. Candidates without a vector come last;
    seeds without one are skipped; a playlist none of whose seeds has one gets all candidates in hash order.

    Args:
        track_ids: [M], distinct, any order; need not cover the candidates.
        vectors: float [M, D].

    Raises:
        ValueError: shapes that don't fit, or a vector that is not finite.
    """
    if vectors.ndim != 2 or len(track_ids) != len(vectors):
        raise ValueError(f"{len(track_ids)} track ids do not fit vectors of shape {vectors.shape}")
    if not np.isfinite(vectors).all():
        bad = track_ids[~np.isfinite(vectors).all(axis=1)][0]
        raise ValueError(f"the vector of track {bad} holds NaN or infinity")
    candidates = hash_order(holdouts.candidates)
    rows = rows_of(track_ids, candidates)
    known = rows >= 0
    table = np.zeros((len(candidates), vectors.shape[1]))
    table[known] = vectors[rows[known]]
    unit = _unit(table)

    def score(playlist_rows: np.ndarray, columns: np.ndarray, num_rows: int) -> np.ndarray:
        has_vector = known[columns]
        sums, filled = _sums(table, playlist_rows[has_vector], columns[has_vector], num_rows)
        scores = np.round(_unit(sums) @ unit.T, COSINE_DECIMALS)
        scores[:, ~known] = BELOW_ANY_COSINE
        scores[~filled] = 0.0
        return scores

    return rank_by(holdouts, candidates, score, k)


def evaluate_itemknn(holdouts: Holdouts, track_ids: np.ndarray, vectors: np.ndarray, ks: Sequence[int]) -> pl.DataFrame:
    """`playlist_id, metric, k, value` with metric `recall` or `ndcg`; arguments and errors as `rank`'s."""
    ranked = rank(holdouts, track_ids, vectors, max(ks))
    return values_frame(holdouts.playlist_ids, evaluate_ranking(ranked, holdouts.targets, ks), ks)


def _sums(table: np.ndarray, rows: np.ndarray, columns: np.ndarray, num_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum of each playlist's seed vectors [num_rows, D], pointing as their mean does, and which playlists have any."""
    filled = np.bincount(rows, minlength=num_rows) > 0
    sums = np.zeros((num_rows, table.shape[1]))
    if filled.any():
        sums[filled] = np.add.reduceat(table[columns], np.searchsorted(rows, np.flatnonzero(filled)), axis=0)
    return sums, filled


def _unit(vectors: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
