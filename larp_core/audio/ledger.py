"""The ledger of acquisition: one row a track with the outcome, its reason, and what is known of the file.

`ledger.parquet` has the columns of `SCHEMA`. `path` is relative to the data folder where the file is ours (the shared
store) and absolute where it is the user's own; `data_dir / path` is right for both. `attempts` counts requests to a
remote source: look-ups on this machine cost none. `duration_seconds` is measured by decoding. Between runs a track is
known by its uri: ids belong to one reading of the playlists.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from larp_core.files import write_parquet

OK = "ok"
STATUSES = (
    OK,
    "not_found",
    "removed",
    "geo_blocked",
    "age_gated",
    "bot_check",
    "rate_limited",
    "duration_mismatch",
    "too_short",
    "corrupt",
    "error",
)
"""Every outcome of a track, of its acquisition and of its clip."""

MAX_ATTEMPTS_ON_ERROR = 5
SAVE_EVERY_SECONDS = 5.0

SCHEMA: dict[str, pl.DataType] = {
    "track_id": pl.Int32(),
    "track_uri": pl.String(),
    "status": pl.String(),
    "source": pl.String(),
    "path": pl.String(),
    "sha256": pl.String(),
    "duration_seconds": pl.Float64(),
    "decoder": pl.String(),
    "attempts": pl.Int32(),
    "last_attempt_at": pl.Datetime("us", "UTC"),
    "detail": pl.String(),
}


@dataclass(frozen=True)
class Entry:
    """One row of the ledger; see the module's docstring."""

    track_id: int
    track_uri: str
    status: str
    source: str
    path: str | None = None
    sha256: str | None = None
    duration_seconds: float | None = None
    decoder: str | None = None
    attempts: int = 0
    last_attempt_at: datetime | None = None
    detail: str = ""

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"unknown status {self.status!r}; choose from {', '.join(STATUSES)}")

    @property
    def is_retriable(self) -> bool:
        """True where asking again may end otherwise: refusals always, errors a few times; all else is final."""
        if self.status in ("rate_limited", "bot_check"):
            return True
        return self.status == "error" and self.attempts < MAX_ATTEMPTS_ON_ERROR

    def is_lost(self, data_dir: Path) -> bool:
        """True where the audio was got and its file is no longer there."""
        return self.status == OK and (self.path is None or not (data_dir / self.path).exists())


def read_entries(path: Path) -> dict[str, Entry]:
    """Entries by track uri; none where there is no ledger yet."""
    if not path.exists():
        return {}
    names = [field.name for field in fields(Entry)]
    return {row["track_uri"]: Entry(**row) for row in pl.read_parquet(path, columns=names).iter_rows(named=True)}


def has_audio_to_get(path: Path, data_dir: Path) -> bool:
    """Whether another run could get more, or a file has gone since the last; False where there is no ledger."""
    return any(entry.is_retriable or entry.is_lost(data_dir) for entry in read_entries(path).values())


def now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """The ledger while it is being filled, saved every few seconds.

    A run killed at any moment forgets no more than those; the files of the forgotten rows are found in the store.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = read_entries(path)
        self._saved_at = time.monotonic()

    def record(self, entry: Entry) -> None:
        self.entries[entry.track_uri] = entry
        if time.monotonic() - self._saved_at > SAVE_EVERY_SECONDS:
            self.save()

    def keep_only(self, track_ids: dict[str, int]) -> None:
        """Forgets tracks that have left the split and gives the others their present ids, `track_uri -> track_id`."""
        self.entries = {
            uri: replace(entry, track_id=track_ids[uri]) for uri, entry in self.entries.items() if uri in track_ids
        }

    def save(self) -> pl.DataFrame:
        """Writes the rows in the order of their ids."""
        rows = [asdict(entry) for entry in sorted(self.entries.values(), key=lambda entry: entry.track_id)]
        frame = pl.DataFrame(rows, schema=SCHEMA)
        write_parquet(frame, self.path)
        self._saved_at = time.monotonic()
        return frame
