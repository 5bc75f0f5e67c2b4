"""Held-out playlists that recommenders are scored on: seeds shown, targets to be found, candidates to choose from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl

from larp_core.config.paths import DatasetPaths
from larp_core.runtime.errors import UserError
from larp_core.runtime.hashing import hash_ids


@dataclass(frozen=True)
class Holdouts:
    """Playlists of one split with at least one target each.

    Candidates of a playlist are all tracks of the split but its own seeds.

    Attributes:
        playlist_ids: int32 [P], ascending.
        seeds: P arrays of track ids, int32, ascending; may be empty.
        targets: P arrays of track ids, int32, ascending; never empty.
        candidates: int32 [N], all tracks of the split, ascending.

    Raises:
        ValueError: a playlist without target, a seed that is a target too, or a seed or target outside the candidates:
            then chance and ceiling would be wrong.
    """

    playlist_ids: np.ndarray
    seeds: list[np.ndarray]
    targets: list[np.ndarray]
    candidates: np.ndarray

    def __post_init__(self) -> None:
        for playlist_id, seeds, targets in zip(self.playlist_ids, self.seeds, self.targets, strict=True):
            if targets.size == 0:
                raise ValueError(f"playlist {playlist_id} has no target")
            if np.intersect1d(seeds, targets).size:
                raise ValueError(f"playlist {playlist_id} has a track that is both seed and target")
        held_out = np.concatenate([*self.seeds, *self.targets, np.empty(0, np.int32)])
        strangers = np.setdiff1d(held_out, self.candidates)
        if strangers.size:
            raise ValueError(f"track {strangers[0]} is held out in a playlist, but is not a track of its split")

    @cached_property
    def in_hash_order(self) -> np.ndarray:
        """The candidates as ties between them are broken: int32 [N]."""
        return hash_order(self.candidates)

    @property
    def num_targets(self) -> np.ndarray:
        """int64 [P]."""
        return np.array([len(t) for t in self.targets], np.int64)

    @property
    def num_candidates(self) -> np.ndarray:
        """int64 [P]: tracks that a playlist's targets compete with, themselves included."""
        return len(self.candidates) - np.array([len(s) for s in self.seeds], np.int64)


def hash_order(track_ids: np.ndarray) -> np.ndarray:
    """Track ids sorted by a hash of theirs, whatever order they come in."""
    return track_ids[np.lexsort((track_ids, hash_ids(map(str, track_ids.tolist()), 0, "ties in a ranking")))]


def load_holdouts(paths: DatasetPaths, split: Literal["valid", "test"]) -> Holdouts:
    """Reads one split's held-out playlists; playlists without target are left out.

    Raises:
        UserError: no playlist of the split has a target.
        ValueError: the files contradict each other, see `Holdouts`.
    """
    candidates = pl.read_parquet(paths.split_tracks).filter(pl.col("split") == split)["track_id"].unique().sort()
    members = pl.read_parquet(paths.split_playlists).filter(pl.col("split") == split).select("playlist_id")
    rows = pl.read_parquet(paths.holdouts).join(members, on="playlist_id", how="semi")
    playlists = (
        rows.group_by("playlist_id")
        .agg(
            seeds=pl.col("track_id").filter(pl.col("role") == "seed").unique().sort(),
            targets=pl.col("track_id").filter(pl.col("role") == "target").unique().sort(),
        )
        .filter(pl.col("targets").list.len() > 0)
        .sort("playlist_id")
    )
    if playlists.is_empty():
        raise UserError(
            f"{paths.holdouts}: no {split} playlist has a target, so nothing can be scored; bring more playlists, "
            f"or a recipe with a lower split.min_tracks"
        )
    return Holdouts(
        playlist_ids=playlists["playlist_id"].cast(pl.Int32).to_numpy(),
        seeds=[ids.cast(pl.Int32).to_numpy() for ids in playlists["seeds"]],
        targets=[ids.cast(pl.Int32).to_numpy() for ids in playlists["targets"]],
        candidates=candidates.cast(pl.Int32).to_numpy(),
    )
