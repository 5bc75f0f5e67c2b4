"""ItemKNN: the candidates nearest to the mean of a playlist's seed vectors (LARP section 3.3, Eq. 12 and 26).

NumPy alone, since the training loop scores the validation split with it after every epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from larp_core.benchmark.holdouts import Holdouts
from larp_core.benchmark.metrics import evaluate_ranking, values_frame
from larp_core.benchmark.names import ITEMKNN
from larp_core.benchmark.ranking import hash_order, rank_by, rows_of
from larp_core.benchmark.recommenders.recommender import Inputs, Ranker
from larp_core.benchmark.recommenders.similarities import prepare
from larp_core.config import Similarity

COSINE_DECIMALS = 9
BELOW_ANY_COSINE = -2.0


@dataclass(frozen=True)
class ItemKnn:
    """ItemKNN by one similarity; a variant carries it in its name, "ItemKNN (dot)"."""

    similarity: Similarity
    is_variant: bool = False
    is_seeded: bool = False

    @property
    def name(self) -> str:
        return f"{ITEMKNN} ({self.similarity})" if self.is_variant else ITEMKNN

    def fit(self, inputs: Inputs, seed: int) -> Ranker:
        """Nothing is learned but the mean and covariance of the train tracks' vectors, where the similarity needs them;
        `seed` plays no part."""
        check_vectors(inputs.track_ids, inputs.vectors)
        prepared = prepare(self.similarity, inputs.vectors, inputs.is_train)
        unit = self.similarity != "dot"
        return lambda holdouts, k: rank(holdouts, inputs.track_ids, prepared, k, unit=unit)


def rank(holdouts: Holdouts, track_ids: np.ndarray, vectors: np.ndarray, k: int, *, unit: bool = True) -> np.ndarray:
    """The k nearest candidates of each playlist, best first: int32 [P, k], -1 where there are fewer than k.

    Near means cosine, or inner product where `unit` is off. Scores, the latter as a share of the largest possible, are
    rounded to nine decimals and ties broken by the track's hash. Candidates without a vector come last; seeds without
    one are skipped; a playlist none of whose seeds has one gets all candidates in hash order.

    Args:
        track_ids: [M], distinct, any order; need not cover the candidates.
        vectors: float [M, D].

    Raises:
        ValueError: shapes that don't fit, or a vector that is not finite.
    """
    check_vectors(track_ids, vectors)
    candidates = hash_order(holdouts.candidates)
    rows = rows_of(track_ids, candidates)
    known = rows >= 0
    table = np.zeros((len(candidates), vectors.shape[1]))
    table[known] = vectors[rows[known]]
    items = _unit(table) if unit else _within_unit_ball(table)

    def score(playlist_rows: np.ndarray, columns: np.ndarray, num_rows: int) -> np.ndarray:
        has_vector = known[columns]
        sums, filled = _sums(table, playlist_rows[has_vector], columns[has_vector], num_rows)
        scores = np.round(_unit(sums) @ items.T, COSINE_DECIMALS)
        scores[:, ~known] = BELOW_ANY_COSINE
        scores[~filled] = 0.0
        return scores

    return rank_by(holdouts, candidates, score, k)


def evaluate_itemknn(holdouts: Holdouts, track_ids: np.ndarray, vectors: np.ndarray, ks: Sequence[int]) -> pl.DataFrame:
    """`playlist_id, metric, k, value` with metric `recall` or `ndcg`; arguments and errors as `rank`'s."""
    ranked = rank(holdouts, track_ids, vectors, max(ks))
    return values_frame(holdouts.playlist_ids, evaluate_ranking(ranked, holdouts.targets, ks), ks)


def check_vectors(track_ids: np.ndarray, vectors: np.ndarray) -> None:
    """Raises ValueError: shapes that don't fit, or a vector that is not finite."""
    if vectors.ndim != 2 or len(track_ids) != len(vectors):
        raise ValueError(f"{len(track_ids)} track ids do not fit vectors of shape {vectors.shape}")
    if not np.isfinite(vectors).all():
        bad = track_ids[~np.isfinite(vectors).all(axis=1)][0]
        raise ValueError(f"the vector of track {bad} holds NaN or infinity")


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


def _within_unit_ball(vectors: np.ndarray) -> np.ndarray:
    """Divided by the greatest norm, so that products with unit vectors order as inner products do, within [-1, 1]."""
    greatest = np.linalg.norm(vectors, axis=1).max(initial=0.0)
    return vectors / greatest if greatest > 0 else vectors
