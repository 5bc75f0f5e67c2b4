"""The ledger of acquisition: one row a track with the outcome, its reason, and what is known of the file.

`ledger.parquet` has the columns of `SCHEMA`. `path` is relative to the data folder where the file is ours (the shared
store) and absolute where it is the user's own; `data_dir / path` is right for both. `attempts` counts requests to a
remote source: look-ups on this machine cost none. `refusals` tells what each such source said that had no audio, with a
digest of what it was asked, `urls=removed#1f2e3d4c youtube=rate_limited#5a6b7c8d`; `status` is the most hopeful of
these. `duration_seconds` is measured by decoding. `tolerance_seconds` is how far the length of a file that was guessed
from names may be from the catalogue's, which may become known later; null for other files.
Between runs a track is known by its uri: ids belong to one reading of the playlists.

While a run fills it, each row is also written to a journal beside it, `ledger.journal.sqlite`, so that a run killed at
any moment forgets no row; the next run reads the journal first.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from larp_core.audio.acquire.journal import Journal, read_older_version
from larp_core.runtime.files import write_parquet

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
SAVE_EVERY_SECONDS = 60.0

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
    "refusals": pl.String(),
    "tolerance_seconds": pl.Float64(),
}


@dataclass(frozen=True, slots=True)
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
    refusals: str = ""
    tolerance_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"unknown status {self.status!r}; choose from {', '.join(STATUSES)}")

    @property
    def is_retriable(self) -> bool:
        return is_retriable(self.status, self.attempts)

    @property
    def refusal_of(self) -> dict[str, str]:
        """`refusal(...)` by source, see `refusals` in the module's docstring."""
        return {source: said for source, _, said in (word.partition("=") for word in self.refusals.split())}

    def said(self, source: str, question: str) -> str | None:
        """The status with which a source refused this very question; None where it was not asked."""
        status, _, digest = self.refusal_of.get(source, "").partition("#")
        return status if digest == _digest(question) else None


def refusal(status: str, question: str) -> str:
    """How the ledger remembers what a source said to a question."""
    return f"{status}#{_digest(question)}"


def _digest(question: str) -> str:
    """Too short to tell a URL's password by."""
    return hashlib.blake2b(question.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()


NAMES = [field.name for field in fields(Entry)]


def is_retriable(status: str, attempts: int) -> bool:
    """True where asking again may end otherwise: refusals always, errors a few times; all else is final."""
    return status in ("rate_limited", "bot_check") or (status == "error" and attempts < MAX_ATTEMPTS_ON_ERROR)


def lost(entries: Iterable[Entry], data_dir: Path) -> set[str]:
    """Uris of the tracks whose audio was got and whose file is no longer there.

    Each folder is listed once: on a network disk a look at every file of a large store takes minutes.
    """
    uris_of: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    gone: set[str] = set()
    root = str(data_dir)
    for entry in entries:
        if entry.status == OK and entry.path is None:
            gone.add(entry.track_uri)
        elif entry.status == OK and entry.path is not None:
            folder, name = os.path.split(os.path.join(root, entry.path))  # noqa: PTH118
            uris_of[folder][name].append(entry.track_uri)
    for folder, uris_by_name in uris_of.items():
        present = _listed(folder)
        gone.update(uri for name, uris in uris_by_name.items() if name not in present for uri in uris)
    return gone


def _listed(folder: str) -> set[str]:
    try:
        with os.scandir(folder) as found:
            return {file.name for file in found if not file.is_symlink() or Path(file.path).exists()}
    except OSError:
        return set()


def read_entries(path: Path) -> dict[str, Entry]:
    """Entries by track uri; none where there is no ledger yet."""
    return {entry.track_uri: entry for entry in entries_of(read_rows(path))}


def read_rows(path: Path) -> pl.DataFrame:
    """The same in columns, a tenth of the memory: those of `SCHEMA`, or fewer in one of an older version."""
    if not path.exists():
        return pl.DataFrame(schema=SCHEMA)
    frame = pl.read_parquet(path)
    return frame.select(name for name in NAMES if name in frame.columns)


def entries_of(rows: pl.DataFrame) -> Iterator[Entry]:
    columns = [rows[name].to_list() for name in rows.columns]
    return (Entry(**dict(zip(rows.columns, row, strict=True))) for row in zip(*columns, strict=True))


def has_audio_to_get(path: Path, data_dir: Path) -> bool:
    """Whether another run could get more, or a file has gone since the last; False where there is no ledger."""
    entries = read_entries(path).values()
    return any(entry.is_retriable for entry in entries) or bool(lost(entries, data_dir))


def now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """The ledger while it is being filled: journalled at once, saved now and then and at the end.

    Raises:
        UserError: a journal that a killed run left can't be read, see `Journal.read`, or saved.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = Journal(path.with_suffix(".journal.sqlite"), NAMES)
        self.entries = read_entries(path)
        self._saved_at = time.monotonic()
        older = path.with_suffix(".journal")
        forgotten = read_older_version(older, _unpacked) + self.journal.read(_unpacked)
        if forgotten:
            self.entries |= {entry.track_uri: entry for entry in forgotten}
            self.save()
        if older.exists():
            older.unlink()

    def record(self, entry: Entry) -> None:
        """Puts a row in the place of the track's former one. Raises UserError where it can't be written."""
        self.entries[entry.track_uri] = entry
        self.journal.append(_packed(entry))
        if time.monotonic() - self._saved_at > SAVE_EVERY_SECONDS:
            self.save()

    def keep_only(self, track_ids: dict[str, int]) -> None:
        """Forgets tracks that have left the split and gives the others their present ids, `track_uri -> track_id`."""
        self.entries = {
            uri: entry if entry.track_id == track_ids[uri] else replace(entry, track_id=track_ids[uri])
            for uri, entry in self.entries.items()
            if uri in track_ids
        }

    def save(self) -> pl.DataFrame:
        """Writes the rows in the order of their ids. Returns them, in the columns of `SCHEMA`."""
        entries = sorted(self.entries.values(), key=lambda entry: entry.track_id)
        frame = pl.DataFrame({name: [getattr(entry, name) for entry in entries] for name in SCHEMA}, schema=SCHEMA)
        write_parquet(frame, self.path)
        self.journal.remove()
        self._saved_at = time.monotonic()
        return frame

    def close(self) -> None:
        """Lets go of the journal, so that another ledger of this process may read it; what it holds stays."""
        self.journal.close()


def _packed(entry: Entry) -> list[Any]:
    """A row of the journal, whose times are text."""
    values = [getattr(entry, name) for name in NAMES]
    return [value.isoformat() if isinstance(value, datetime) else value for value in values]


def _unpacked(row: dict[str, Any]) -> Entry:
    """Raises TypeError or ValueError where the row is none of a ledger."""
    asked_at = row.get("last_attempt_at")
    return Entry(**row | {"last_attempt_at": datetime.fromisoformat(asked_at) if asked_at else None})
