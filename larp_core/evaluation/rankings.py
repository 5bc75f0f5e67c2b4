"""Ranked lists on disk, `rankings/<encoder>.parquet`: with the holdouts, every metric can be derived from them again.

`recommender`, `seed` int64, `playlist_id` int32, `track_ids` list[int32] best first, as long as the largest K, -1 where
there are fewer. A recommender that chance takes part in has one list a seed; its value on a playlist is their mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from larp_core.evaluation.holdouts import Holdouts
from larp_core.evaluation.metrics import Values, evaluate_ranking, values_frame
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import write_parquet

SCHEMA: dict[str, Any] = {
    "recommender": pl.String,
    "seed": pl.Int64,
    "playlist_id": pl.Int32,
    "track_ids": pl.List(pl.Int32),
}

Rankings = dict[str, np.ndarray]
"""Recommender -> track ids int32 [seeds, P, K], playlists in the order of the holdouts."""


def write_rankings(
    rankings: Mapping[str, np.ndarray], holdouts: Holdouts, seed: int, path: Path, footer: dict[str, str]
) -> None:
    """Lists of the first seed are those of `seed`, then `seed + 1` and so on."""
    frames = [
        pl.DataFrame(
            {
                "recommender": name,
                "seed": seed + number,
                "playlist_id": holdouts.playlist_ids,
                "track_ids": pl.Series(lists, dtype=pl.Array(pl.Int32, lists.shape[1])).arr.to_list(),
            },
            schema=SCHEMA,
        )
        for name, seeds in rankings.items()
        for number, lists in enumerate(seeds)
    ]
    write_parquet(pl.concat(frames) if frames else pl.DataFrame(schema=SCHEMA), path, metadata=footer)


def load_rankings(path: Path, holdouts: Holdouts) -> Rankings:
    """In the order of the file; empty where the encoder's weights were missing.

    Raises:
        UserError: lists of other playlists than the holdouts'.
    """
    frame = pl.read_parquet(path)
    rankings: Rankings = {}
    for (name,), lists in frame.partition_by("recommender", as_dict=True, maintain_order=True).items():
        by_seed = lists.sort("seed", "playlist_id").partition_by("seed", maintain_order=True)
        if any(not np.array_equal(part["playlist_id"].to_numpy(), holdouts.playlist_ids) for part in by_seed):
            raise UserError(f"{path}: ranks other playlists than the split's test playlists; run its scores step again")
        width = int(lists["track_ids"].list.len()[0])
        rankings[str(name)] = np.stack([part["track_ids"].list.to_array(width).to_numpy() for part in by_seed])
    return rankings


def values_of(lists: np.ndarray, holdouts: Holdouts, ks: Sequence[int]) -> pl.DataFrame:
    """`playlist_id, metric, k, value` of one recommender's lists [seeds, P, K]: each playlist's mean over the seeds."""
    by_seed = [evaluate_ranking(ranked, holdouts.targets, ks) for ranked in lists]
    means: Values = {metric: np.mean([values[metric] for values in by_seed], axis=0) for metric in by_seed[0]}
    return values_frame(holdouts.playlist_ids, means, ks)
