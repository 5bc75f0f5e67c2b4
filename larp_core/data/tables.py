"""The raw files as three Parquet tables: playlists, tracks, interactions, with small integer ids."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import polars as pl

from larp_core.data.chunk import TRACK_SCHEMA, Chunk
from larp_core.data.source import READERS, raw_folder
from larp_core.errors import UserError
from larp_core.files import write_parquet
from larp_core.steps import Job, Report

NUM_EXAMPLES = 10


@dataclass
class TableBuilder:
    """Collects chunks into tables. Ids count from 0 in order of first appearance, so appended data moves none."""

    dropped: Counter[str] = field(default_factory=Counter)
    _playlist_ids: dict[str, int] = field(default_factory=dict)
    _track_ids: dict[str, int] = field(default_factory=dict)
    _playlists: list[pl.DataFrame] = field(default_factory=list)
    _tracks: list[pl.DataFrame] = field(default_factory=list)
    _interactions: list[pl.DataFrame] = field(default_factory=list)

    def add(self, chunk: Chunk) -> None:
        """Adds a chunk; of a playlist or track met in an earlier chunk the first one's fields stay."""
        playlists = chunk.playlists.filter(
            [source_id not in self._playlist_ids for source_id in chunk.playlists["source_id"]]
        )
        self.dropped["playlists whose id was there in an earlier file"] += chunk.playlists.height - playlists.height
        playlists = self._numbered(playlists, "source_id", "playlist_id", self._playlist_ids)
        interactions = chunk.interactions.join(
            playlists.select("source_id", "playlist_id"), on="source_id", maintain_order="left"
        )
        seen = chunk.tracks.join(interactions, on="track_uri", how="semi", maintain_order="left")
        new = seen.filter([uri not in self._track_ids for uri in seen["track_uri"]])
        self._tracks.append(self._numbered(new, "track_uri", "track_id", self._track_ids))
        numbered = self._numbered(seen.select("track_uri"), "track_uri", "track_id", self._track_ids)
        interactions = interactions.join(numbered, on="track_uri", maintain_order="left")
        sizes = interactions.group_by("playlist_id").agg(num_tracks=pl.len().cast(pl.Int32))
        playlists = playlists.join(sizes, on="playlist_id", maintain_order="left")
        self._playlists.append(playlists.select("playlist_id", "source_id", "name", "num_tracks"))
        self._interactions.append(interactions.select("playlist_id", "track_id", "position", "played_at"))

    def tables(self) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Playlists, tracks and interactions; the interactions by playlist and position."""
        tracks = pl.concat(self._tracks).select("track_id", *TRACK_SCHEMA)
        interactions = pl.concat(self._interactions).sort("playlist_id", "position", "track_id")
        return pl.concat(self._playlists), tracks, interactions

    @staticmethod
    def _numbered(frame: pl.DataFrame, key: str, name: str, ids: dict[str, int]) -> pl.DataFrame:
        numbers = [ids.setdefault(value, len(ids)) for value in frame[key]]
        return frame.with_columns(pl.Series(name, numbers, dtype=pl.Int32))


def build_tables(job: Job) -> Report:
    """Reads the raw files and writes the three tables.

    Raises:
        UserError: a file can't be read, or nothing usable is in any of them.
    """
    builder = TableBuilder()
    folder = raw_folder(job)
    for chunk in READERS[job.dataset].read_chunks(folder, builder.dropped):
        builder.add(chunk)
    playlists, tracks, interactions = builder.tables()
    if interactions.is_empty():
        reasons = "; ".join(f"{count} {reason}" for reason, count in sorted(builder.dropped.items()) if count)
        raise UserError(
            f"{folder}: no playlist with a usable track ({reasons or 'the files hold none'}); check the files"
        )
    write_parquet(playlists, job.paths.playlists)
    write_parquet(tracks, job.paths.tracks)
    write_parquet(interactions, job.paths.interactions)
    return _report(playlists, tracks, interactions, builder.dropped)


def _report(playlists: pl.DataFrame, tracks: pl.DataFrame, interactions: pl.DataFrame, dropped: Counter[str]) -> Report:
    facts = {
        "num_playlists": playlists.height,
        "num_tracks": tracks.height,
        "num_interactions": interactions.height,
        "mean_tracks_per_playlist": round(interactions.height / playlists.height, 2),
    }
    example = interactions.filter(pl.col("playlist_id") == 0).head(NUM_EXAMPLES).join(tracks, on="track_id")
    return Report(
        num_rows=interactions.height,
        facts=facts,
        tables={
            "playlists": playlists.head(NUM_EXAMPLES).to_dicts(),
            "first playlist": example.select("position", "track_name", "artist_name", "album_name").to_dicts(),
            "left out": [{"reason": reason, "count": count} for reason, count in sorted(dropped.items()) if count],
        },
    )
