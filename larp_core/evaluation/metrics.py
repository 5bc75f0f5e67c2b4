"""Recall@K and NDCG@K of ranked lists, what chance would give, and the most that can be reached.

Recall divides by the number of targets, the ideal DCG is that of min(targets, K) hits at the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl

METRICS = ("recall", "ndcg")
TABLE_CELLS = 4_000_000
"""Up to so many pairs of playlist and track, hits are looked up in a table of all of them."""

Values = dict[str, np.ndarray]
"""`recall` and `ndcg`, each float64 [P, len(ks)]: one row a playlist, one column a K."""


def evaluate_ranking(ranked: np.ndarray, targets: Sequence[np.ndarray], ks: Sequence[int]) -> Values:
    """Scores ranked lists.

    Args:
        ranked: track ids int32 [P, at least max(ks)], best first, distinct in a row, -1 where a list is shorter.
        targets: P arrays of distinct track ids, none empty.

    Raises:
        ValueError: lists shorter than the largest K.
    """
    if ranked.shape[1] < max(ks):
        raise ValueError(f"lists of {ranked.shape[1]} tracks cannot be scored at {max(ks)}")
    num_targets = np.array([len(t) for t in targets])
    hits = _hits(ranked[:, : max(ks)], targets)
    last = np.array(ks) - 1
    found = np.cumsum(hits, axis=1)[:, last]
    gain = np.cumsum(hits * discounts(max(ks)), axis=1)[:, last]
    return {"recall": found / num_targets[:, None], "ndcg": gain / ideal_gain(num_targets, ks)}


def random_values(num_targets: np.ndarray, num_candidates: np.ndarray, ks: Sequence[int]) -> Values:
    """The exact expectation under a uniformly random order of a playlist's candidates.

    Each of C candidates stands at each rank with probability 1/C, so recall is min(K, C) / C in expectation, and every
    rank holds one of the T targets with probability T / C.
    """
    shown = np.minimum(np.array(ks)[None, :], num_candidates[:, None])
    gain = np.concatenate([[0.0], np.cumsum(discounts(max(ks)))])[shown]
    expected_gain = gain * (num_targets / num_candidates)[:, None]
    return {"recall": shown / num_candidates[:, None], "ndcg": expected_gain / ideal_gain(num_targets, ks)}


def oracle_values(num_targets: np.ndarray, ks: Sequence[int]) -> Values:
    """The ceiling: every target before every other track."""
    best = np.minimum(np.array(ks)[None, :], num_targets[:, None]) / num_targets[:, None]
    return {"recall": best, "ndcg": np.ones_like(best)}


def discounts(k: int) -> np.ndarray:
    """1 / log2(rank + 1) for ranks 1 to k."""
    return 1.0 / np.log2(np.arange(2, k + 2))


def ideal_gain(num_targets: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """DCG of min(targets, K) hits at the top: float64 [P, len(ks)]."""
    reachable = np.minimum(num_targets[:, None], np.array(ks)[None, :])
    return np.cumsum(discounts(max(ks)))[reachable - 1]


def values_frame(playlist_ids: np.ndarray, values: Values, ks: Sequence[int]) -> pl.DataFrame:
    """`playlist_id` int32, `metric`, `k` int32, `value`: one row a playlist, metric and K."""
    return pl.concat(
        pl.DataFrame({"playlist_id": playlist_ids, "value": values[metric][:, column]}).select(
            pl.col("playlist_id").cast(pl.Int32),
            pl.lit(metric).alias("metric"),
            pl.lit(k, pl.Int32).alias("k"),
            pl.col("value"),
        )
        for metric in METRICS
        for column, k in enumerate(ks)
    )


def _hits(ranked: np.ndarray, targets: Sequence[np.ndarray]) -> np.ndarray:
    """True where the ranked track is a target of its playlist: bool [P, K]."""
    rows = np.repeat(np.arange(len(targets)), [len(t) for t in targets])
    tracks = np.concatenate(targets).astype(np.int64)
    # Pairs (playlist, track) as one number; ids are shifted by one so that the filler -1 is 0 and matches nothing.
    base = int(max(tracks.max(), ranked.max())) + 2
    pairs = np.arange(len(targets))[:, None] * base + (ranked.astype(np.int64) + 1)
    kind: Literal["table"] | None = "table" if len(targets) * base < TABLE_CELLS else None
    return np.isin(pairs, rows * base + tracks + 1, kind=kind)
