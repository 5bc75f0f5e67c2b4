"""Collaborative vectors of train playlists and train tracks, one pair of files a dataset, shared by all encoders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from larp_core.config.paths import DatasetPaths
from larp_core.evaluation.ranking import rows_of
from larp_core.evaluation.vectors import load_vectors
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import write_parquet


@dataclass(frozen=True)
class Factors:
    """What WMF has learned.

    Attributes:
        playlist_ids, track_ids: int32 [P], [T], ascending.
        playlists, tracks: float32 [P, F], [T, F]; the inner product is the score of a pair.
    """

    playlist_ids: np.ndarray
    playlists: np.ndarray
    track_ids: np.ndarray
    tracks: np.ndarray

    def playlists_of(self, playlist_ids: np.ndarray) -> np.ndarray:
        """float32 [N, F]. Raises UserError where one has no factors."""
        return _looked_up("playlist", self.playlist_ids, self.playlists, playlist_ids)

    def tracks_of(self, track_ids: np.ndarray) -> np.ndarray:
        """float32 [N, F]. Raises UserError where one has no factors."""
        return _looked_up("track", self.track_ids, self.tracks, track_ids)


NO_FACTORS = Factors(np.empty(0, np.int32), np.empty((0, 0)), np.empty(0, np.int32), np.empty((0, 0)))


def write_factors(factors: Factors, paths: DatasetPaths) -> None:
    """`wmf/playlists.parquet` with `playlist_id, vector` and `wmf/tracks.parquet` with `track_id, vector`."""
    files = {paths.wmf_playlists: ("playlist_id", factors.playlist_ids, factors.playlists)}
    files[paths.wmf_tracks] = ("track_id", factors.track_ids, factors.tracks)
    for path, (column, ids, vectors) in files.items():
        lists = pl.Series(vectors, dtype=pl.Array(pl.Float32, vectors.shape[1])).arr.to_list()
        write_parquet(pl.DataFrame({column: pl.Series(ids, dtype=pl.Int32), "vector": lists}), path)


def load_factors(paths: DatasetPaths) -> Factors:
    playlists = load_vectors(paths.wmf_playlists, id_column="playlist_id")
    return Factors(*playlists, *load_vectors(paths.wmf_tracks))


def _looked_up(kind: str, ids: np.ndarray, vectors: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    rows = rows_of(ids, wanted)
    if (rows < 0).any():
        raise UserError(f"train {kind} {wanted[rows < 0][0]} has no WMF factors; run the step wmf again")
    return vectors[rows]
