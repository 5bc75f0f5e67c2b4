"""What a reader hands over, whatever the format: one chunk of playlists with their tracks and interactions."""

from __future__ import annotations

import re
from dataclasses import dataclass

import polars as pl

Schema = dict[str, type[pl.DataType] | pl.DataType]
PLAYLIST_SCHEMA: Schema = {"source_id": pl.String, "name": pl.String}
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

TRACK_URI_PATTERN = r"^[0-9A-Za-z][0-9A-Za-z:_.-]{0,63}$"
"""A track uri once `spotify:track:` is taken off. It becomes a file name, so no slash can be in it."""
TRACK_URI = re.compile(TRACK_URI_PATTERN)


@dataclass(frozen=True)
class Chunk:
    """A part of a dataset, small enough for memory.

    Attributes:
        playlists: `PLAYLIST_SCHEMA`, in the order of the source.
        tracks: `TRACK_SCHEMA`, one row a track of `interactions`, in order of first appearance.
        interactions: `INTERACTION_SCHEMA`, a track at most once in a playlist; only playlists of this chunk.
    """

    playlists: pl.DataFrame
    tracks: pl.DataFrame
    interactions: pl.DataFrame
