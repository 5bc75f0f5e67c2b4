"""Ranked lists out of scores: seeds left out, ties broken by a hash of the track, so that file order never leaks in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from larp_core.evaluation.holdouts import Holdouts

CHUNK_CELLS = 4_000_000
CHUNK_PLAYLISTS = 256
NO_TRACK = -1
TABLE_SHARE = 16
"""Ids up to this many times their number are looked up in a table."""

ScoreChunk = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""`score(rows [S], columns [S], num_rows) -> [num_rows, N]`: the seeds of a few playlists as pairs of playlist row
(ascending) and candidate column, in; every candidate's score, higher is better, out."""


def rows_of(track_ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Index in `track_ids` [M] of each of `wanted` [N], -1 where absent; int64 [N]."""
    if len(track_ids) == 0:
        return np.full(len(wanted), -1, np.int64)
    largest = int(max(track_ids.max(), wanted.max(initial=0)))
    if largest < TABLE_SHARE * (len(track_ids) + len(wanted)) and min(track_ids.min(), wanted.min(initial=0)) >= -1:
        table = np.full(largest + 2, -1, np.int64)  # its last place answers for -1, which is no track
        table[track_ids] = np.arange(len(track_ids))
        return table[wanted]
    order = np.argsort(track_ids, kind="stable")
    at = np.minimum(np.searchsorted(track_ids, wanted, sorter=order), len(track_ids) - 1)
    return np.where(track_ids[order[at]] == wanted, order[at], -1)


def rank_by(holdouts: Holdouts, candidates: np.ndarray, score: ScoreChunk, k: int) -> np.ndarray:
    """The k best candidates of each playlist, best first: int32 [P, k], -1 where there are fewer than k.

    `candidates` [N] are the holdouts' candidates in `hash_order`; among equal scores the earlier one is better.
    """
    ranked = np.full((len(holdouts.seeds), k), NO_TRACK, np.int32)
    step = int(np.clip(CHUNK_CELLS // max(len(candidates), 1), 1, CHUNK_PLAYLISTS))
    for start in range(0, len(holdouts.seeds), step):
        seeds = holdouts.seeds[start : start + step]
        rows = np.repeat(np.arange(len(seeds)), [len(s) for s in seeds])
        columns = rows_of(candidates, np.concatenate(seeds))
        scores = score(rows, columns, len(seeds))
        scores[rows, columns] = -np.inf
        best = _top_columns(scores, min(k, len(candidates)))
        is_seed = np.isneginf(np.take_along_axis(scores, best, axis=1))
        ranked[start : start + step, : best.shape[1]] = np.where(is_seed, NO_TRACK, candidates[best])
    return ranked


def _top_columns(scores: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k highest scores of each row, best first, the lower column first among equals: int64 [rows, k]."""
    threshold = np.partition(scores, scores.shape[1] - k, axis=1)[:, scores.shape[1] - k, None]
    above = scores > threshold
    # Partitioning alone would take any of the tracks that tie at the threshold: take the first ones in hash order.
    tied = scores == threshold
    wanted = k - above.sum(axis=1, keepdims=True)
    chosen = above | (tied & (np.cumsum(tied, axis=1) <= wanted))
    columns = np.nonzero(chosen)[1].reshape(len(scores), k)
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)
