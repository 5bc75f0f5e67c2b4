"""Vectors of playlists that an encoder has made itself: `embeddings/<encoder>_playlists.parquet`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl


@dataclass(frozen=True)
class PlaylistVectors:
    """One vector a held-out playlist, made of its seeds.

    Attributes:
        playlist_ids: int32 [P], ascending.
        vectors: float [P, D].
    """

    playlist_ids: np.ndarray
    vectors: np.ndarray

    def of(self, playlist_ids: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
        """Unit vectors [N, D] of some playlists; `otherwise` [N, D] where there is none, or one without a length."""
        lengths = np.linalg.norm(self.vectors, axis=1)
        known = lengths > 0
        ids, unit = self.playlist_ids[known], self.vectors[known] / lengths[known, None]
        if not len(ids):
            return otherwise
        places = np.searchsorted(ids, playlist_ids).clip(max=len(ids) - 1)
        return np.where((ids[places] == playlist_ids)[:, None], unit[places], otherwise)


def load_playlist_vectors(path: Path) -> PlaylistVectors:
    frame = pl.read_parquet(path).sort("playlist_id")
    vectors = frame["vector"].cast(pl.List(pl.Float32)).to_list()
    return PlaylistVectors(frame["playlist_id"].to_numpy(), np.array(vectors, np.float64).reshape(len(frame), -1))
