"""Helper of the MPD tests: all that a folder or zip holds, as four frames."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from larp_core.config import IngestConfig
from larp_core.data.readers import mpd
from larp_core.data.readers.parts import PartStore
from larp_core.data.readers.rejects import Rejects


def read(source: Path, store: Path | None = None) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Playlists, tracks, interactions with their keys, and rejects."""
    rejects = Rejects()
    folder = store or source.parent / "parts"
    chunks = list(mpd.read_chunks(source, PartStore(folder, ""), rejects, IngestConfig()))
    interactions = []
    for chunk in chunks:
        rows, tracks = chunk.read_interactions(), chunk.read_tracks()
        interactions.append(
            rows.select(
                chunk.playlists["source_id"].gather(rows["playlist_row"]),
                tracks["track_uri"].gather(rows["track_row"]),
                "position",
            )
        )
    return (
        pl.concat(chunk.playlists for chunk in chunks),
        pl.concat(chunk.read_tracks() for chunk in chunks),
        pl.concat(interactions),
        rejects.frame(),
    )
