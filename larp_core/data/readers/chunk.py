"""What a reader hands over, whatever the format: one chunk of playlists with their tracks and interactions."""

from __future__ import annotations

import re
from dataclasses import dataclass

import polars as pl

Schema = dict[str, type[pl.DataType] | pl.DataType]
PLAYLIST_SCHEMA: Schema = {"source_id": pl.String, "name": pl.String, "description": pl.String}
TRACK_SCHEMA: Schema = {
    "track_uri": pl.String,
    "track_name": pl.String,
    "artist_uri": pl.String,
    "artist_name": pl.String,
    "album_uri": pl.String,
    "album_name": pl.String,
    "duration_ms": pl.Int32,
}
INTERACTION_SCHEMA: Schema = {
    "source_id": pl.String,
    "track_uri": pl.String,
    "position": pl.Int32,
    "played_at": pl.Datetime("us"),
}
INDEXED_SCHEMA: Schema = {
    "playlist_row": pl.Int32,
    "track_row": pl.Int32,
    "position": pl.Int32,
    "played_at": pl.Datetime("us"),
}

TRACK_URI_PATTERN = r"^[0-9A-Za-z][0-9A-Za-z:_.-]{0,63}$"
"""A track uri once `spotify:track:` is taken off. It becomes a file name, so no slash can be in it."""
TRACK_URI = re.compile(TRACK_URI_PATTERN)


@dataclass(frozen=True)
class Chunk:
    """A part of a dataset, small enough for memory. What is lazy is read from disk when it is needed, and again.

    Attributes:
        playlists: `PLAYLIST_SCHEMA`, in the order of the source.
        tracks: `TRACK_SCHEMA`, one row a track of `interactions`, in order of first appearance.
        interactions: `INTERACTION_SCHEMA`, a track at most once in a playlist; only playlists of this chunk. Or
            `INDEXED_SCHEMA`, row numbers of `playlists` and `tracks` in place of the keys, which saves a join.
        file: where it came from, for the rejects.
    """

    playlists: pl.DataFrame
    tracks: pl.DataFrame | pl.LazyFrame
    interactions: pl.DataFrame | pl.LazyFrame
    file: str = ""

    def read_tracks(self) -> pl.DataFrame:
        return self.tracks.lazy().collect()

    def read_interactions(self) -> pl.DataFrame:
        """`INDEXED_SCHEMA`."""
        interactions = self.interactions.lazy().collect()
        if "source_id" in interactions.columns:
            interactions = interactions.join(
                _rows(self.playlists, "source_id", "playlist_row"), on="source_id", maintain_order="left"
            ).join(_rows(self.read_tracks(), "track_uri", "track_row"), on="track_uri", maintain_order="left")
        return interactions.select(list(INDEXED_SCHEMA))


def _rows(frame: pl.DataFrame, key: str, name: str) -> pl.DataFrame:
    return frame.select(key, pl.int_range(pl.len(), dtype=pl.Int32).alias(name))
