"""ItemKNN by the nearest seed: a candidate is as near to a playlist as to the one seed that it is most like.

The mean of a playlist's seeds (the paper's) lies between its themes; a candidate that belongs to one of them alone is
far from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from larp_core.evaluation.names import ITEMKNN
from larp_core.evaluation.ranking import ScoreChunk, rank_by, rows_of
from larp_core.evaluation.recommenders.itemknn import check_vectors
from larp_core.evaluation.recommenders.recommender import Inputs, Ranker

COSINE_DECIMALS = 9
BELOW_ANY_COSINE = -2.0


@dataclass(frozen=True)
class NearestSeed:
    """The greatest cosine to any seed; nothing is learned."""

    is_seeded: bool = False

    @property
    def name(self) -> str:
        return f"{ITEMKNN} (nearest seed)"

    def fit(self, inputs: Inputs, seed: int) -> Ranker:
        """Raises ValueError: shapes that don't fit, or a vector that is not finite. `seed` plays no part."""
        check_vectors(inputs.track_ids, inputs.vectors)

        def score_of(candidates: np.ndarray) -> ScoreChunk:
            return nearest_seed_score(*unit_vectors(inputs.track_ids, inputs.vectors, candidates))

        return lambda holdouts, k: rank_by(holdouts, holdouts.in_hash_order, score_of(holdouts.in_hash_order), k)


def unit_vectors(track_ids: np.ndarray, vectors: np.ndarray, candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors float64 [N, D] of the candidates, zeros for those without one, and who has one, bool [N]."""
    rows = rows_of(track_ids, candidates)
    known = rows >= 0
    table = np.zeros((len(candidates), vectors.shape[1]))
    table[known] = vectors[rows[known]]
    sizes = np.linalg.norm(table, axis=1, keepdims=True)
    return np.divide(table, sizes, out=np.zeros_like(table), where=sizes > 0), known


def nearest_seed_score(unit: np.ndarray, known: np.ndarray) -> ScoreChunk:
    """Candidates without a vector come last; seeds without one are skipped, and where a playlist has no other all
    candidates score alike."""

    def score(rows: np.ndarray, columns: np.ndarray, num_rows: int) -> np.ndarray:
        seen = known[columns]
        scores = greatest_by_seed(lambda seeds: unit[seeds] @ unit.T, rows[seen], columns[seen], num_rows, len(unit))
        scores[:, ~known] = BELOW_ANY_COSINE
        scores[np.bincount(rows[seen], minlength=num_rows) == 0] = 0.0
        return np.round(scores, COSINE_DECIMALS)

    return score


def greatest_by_seed(
    similarity: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, columns: np.ndarray, num_rows: int, width: int
) -> np.ndarray:
    """The greatest similarity to any seed, float64 [num_rows, width]; zeros for a playlist without seeds.

    Args:
        similarity: columns of one playlist's seeds [S] -> [S, width].
        rows, columns: each seed's playlist row, ascending, and its candidate column.
    """
    scores = np.zeros((num_rows, width))
    ends = np.searchsorted(rows, np.arange(num_rows + 1))
    for row in np.flatnonzero(np.diff(ends)):
        scores[row] = similarity(columns[ends[row] : ends[row + 1]]).max(axis=0)
    return scores
