"""ItemKNN: the candidates nearest to the mean of a playlist's seed vectors (LARP section 3.3, Eq. 12 and 26).

NumPy alone, since the training loop scores the validation split with it after every epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from larp_core.config import Similarity
from larp_core.evaluation.holdouts import Holdouts
from larp_core.evaluation.metrics import evaluate_ranking, values_frame
from larp_core.evaluation.names import ITEMKNN
from larp_core.evaluation.nearest import NOBODY, Vectors, lengths, nearest
from larp_core.evaluation.ranking import NO_TRACK, rows_of
from larp_core.evaluation.recommenders.recommender import Inputs, Ranker
from larp_core.evaluation.recommenders.similarities import prepare
from larp_core.evaluation.vectors import PlaylistVectors


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
        # Centred and whitened vectors lie elsewhere than those that the playlists were made of.
        playlists = inputs.playlists if self.similarity in ("dot", "cosine") else None
        return lambda holdouts, k: rank(holdouts, inputs.track_ids, prepared, k, unit=unit, playlists=playlists)


def rank(
    holdouts: Holdouts,
    track_ids: np.ndarray,
    vectors: np.ndarray,
    k: int,
    *,
    unit: bool = True,
    playlists: PlaylistVectors | None = None,
) -> np.ndarray:
    """The k nearest candidates of each playlist, best first: int32 [P, k], -1 where there are fewer than k.

    Near means cosine, or inner product where `unit` is off. Scores, the latter as a share of the largest possible, are
    rounded to nine decimals and ties broken by the track's hash. Candidates without a vector come last; seeds without
    one are skipped; a playlist none of whose seeds has one gets all candidates in hash order.

    Args:
        track_ids: [M], distinct, any order; need not cover the candidates.
        vectors: float [M, D].
        playlists: vectors of playlists, in place of the means of their seeds.

    Raises:
        ValueError: shapes that don't fit, or a vector that is not finite.
    """
    sizes = check_vectors(track_ids, vectors)
    candidates = holdouts.in_hash_order
    rows = rows_of(track_ids, candidates)
    searched = _searched(vectors, rows, sizes, unit=unit)
    owners = np.repeat(np.arange(len(holdouts.seeds)), [len(s) for s in holdouts.seeds])
    columns = rows_of(candidates, np.concatenate([*holdouts.seeds, np.empty(0, np.int32)]))
    has_vector = rows[columns] >= 0
    owners_known, columns_known = owners[has_vector], columns[has_vector]
    queries, filled = _directions(vectors, owners_known, rows[columns_known], len(holdouts.seeds))
    if playlists is not None:
        queries = playlists.of(holdouts.playlist_ids, queries)
    number = np.empty(len(candidates), np.int64)
    number[searched.names] = np.arange(len(searched.names))
    best, _ = nearest(queries, searched, (owners_known, number[columns_known]), k)
    places = np.where(best == NOBODY, len(candidates), best)
    _fill(places, owners, columns, filled, np.flatnonzero(rows < 0), len(candidates))
    return np.append(candidates, NO_TRACK).astype(np.int32)[places]


def evaluate_itemknn(holdouts: Holdouts, track_ids: np.ndarray, vectors: np.ndarray, ks: Sequence[int]) -> pl.DataFrame:
    """`playlist_id, metric, k, value` with metric `recall` or `ndcg`; arguments and errors as `rank`'s."""
    ranked = rank(holdouts, track_ids, vectors, max(ks))
    return values_frame(holdouts.playlist_ids, evaluate_ranking(ranked, holdouts.targets, ks), ks)


def check_vectors(track_ids: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Lengths of the vectors, float64 [M]. Raises ValueError: shapes that don't fit, or a vector that is not finite."""
    if vectors.ndim != 2 or len(track_ids) != len(vectors):
        raise ValueError(f"{len(track_ids)} track ids do not fit vectors of shape {vectors.shape}")
    sizes = lengths(vectors)
    if not np.isfinite(sizes).all():
        raise ValueError(f"the vector of track {track_ids[~np.isfinite(sizes)][0]} holds NaN or infinity")
    return sizes


def _searched(vectors: np.ndarray, rows: np.ndarray, sizes: np.ndarray, *, unit: bool) -> Vectors:
    """Candidates' vectors of length one, or divided by the greatest length among them, so that products with unit
    vectors order as inner products do, within [-1, 1]. They are named by their place in the order of ties.

    Args:
        rows: int64 [N], each candidate's row in `vectors`, -1 where it has none.
    """
    place_of = np.full(len(vectors), NOBODY, np.int64)
    known = np.flatnonzero(rows >= 0)
    place_of[rows[known]] = known
    own_rows = np.flatnonzero(place_of != NOBODY)
    own = sizes[own_rows]
    divisors = own if unit else np.full(len(own), own.max(initial=0.0))
    scale = np.divide(1.0, divisors, out=np.zeros(len(own)), where=divisors > 0)
    return Vectors(vectors, own_rows, scale, place_of[own_rows], longest=1.0)


def _directions(
    vectors: np.ndarray, owners: np.ndarray, rows: np.ndarray, num_playlists: int
) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors [P, D] that point as the mean of each playlist's seed vectors does, and which playlists have any.

    Args:
        owners, rows: each seed's playlist, ascending, and its row in `vectors`.
    """
    sums = np.zeros((num_playlists, vectors.shape[1]))
    ends = np.searchsorted(owners, np.arange(num_playlists + 1))
    for playlist, (start, end) in enumerate(pairwise(ends)):
        vectors.take(rows[start:end], axis=0).astype(np.float64).sum(axis=0, out=sums[playlist])
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.divide(sums, norms, out=np.zeros_like(sums), where=norms > 0), np.diff(ends) > 0


def _fill(
    places: np.ndarray, owners: np.ndarray, columns: np.ndarray, filled: np.ndarray, unknown: np.ndarray, nobody: int
) -> None:
    """Candidates without a vector behind those with one; all but the seeds for a playlist none of whose seeds has one.

    Args:
        places: int64 [P, K], indices of candidates in hash order, `nobody` where there is none; changed in place.
    """
    ends = np.searchsorted(owners, np.arange(len(places) + 1))
    for playlist in np.flatnonzero((places == nobody).any(axis=1) | ~filled):
        kept = places[playlist][places[playlist] != nobody] if filled[playlist] else places[playlist][:0]
        others = unknown if filled[playlist] else np.arange(nobody)
        behind = others[~np.isin(others, columns[ends[playlist] : ends[playlist + 1]])]
        line = np.concatenate([kept, behind])[: places.shape[1]]
        places[playlist] = nobody
        places[playlist, : len(line)] = line
