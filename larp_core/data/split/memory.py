"""What a split has promised: sides that tracks and playlists took, kept for the day when data is added.

Policies whose sides hang on other playlists than a track's own need it; those that go by hashes alone don't. The file
speaks of uris and source ids, which outlive a renumbering of ids, and is valid for one policy with its settings: under
others the split starts afresh. Deleting it does too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from larp_core.runtime.files import write_parquet

SCHEMA = {"source_id": pl.String, "track_uri": pl.String, "split": pl.String}
FINGERPRINT = "split_fingerprint"


@dataclass(frozen=True)
class Memory:
    """Sides taken in earlier runs.

    Attributes:
        rows: `source_id, track_uri, split`, each once. A valid or test playlist has a row for each of its tracks, so
            that it stays as it was cut; a train playlist has one without `track_uri`, a train track one without
            `source_id`.
    """

    rows: pl.DataFrame

    @property
    def playlists(self) -> pl.DataFrame:
        """`source_id, split`, each playlist once."""
        return self.rows.select("source_id", "split").drop_nulls().unique()

    @property
    def tracks(self) -> pl.DataFrame:
        """`track_uri, split`, each track once."""
        return self.rows.select("track_uri", "split").drop_nulls().unique()

    @property
    def held_out(self) -> pl.DataFrame:
        """`source_id, track_uri` of the valid and test playlists as they were cut."""
        return self.rows.select("source_id", "track_uri").drop_nulls()


def nothing() -> Memory:
    return Memory(pl.DataFrame(schema=SCHEMA))


def recall(path: Path, fingerprint: str) -> Memory:
    """What an earlier run under the same fingerprint has written; nothing where there is none."""
    if not path.exists() or pl.read_parquet_metadata(path).get(FINGERPRINT) != fingerprint:
        return nothing()
    return Memory(pl.read_parquet(path))


def remember(path: Path, fingerprint: str, memory: Memory) -> None:
    write_parquet(memory.rows.sort(*SCHEMA), path, metadata={FINGERPRINT: fingerprint})


def add(memory: Memory, kept: pl.DataFrame) -> Memory:
    """The memory and what is kept now: `source_id, track_uri, split`, a row for each interaction."""
    kept = kept.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
    train = kept.filter(pl.col("split") == "train")
    nobody = pl.lit(None, pl.String)
    parts = [
        memory.rows,
        kept.filter(pl.col("split") != "train"),
        train.with_columns(track_uri=nobody).unique(),
        train.with_columns(source_id=nobody).unique(),
    ]
    return Memory(pl.concat(parts).unique())
