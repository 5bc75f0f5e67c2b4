"""What a reader left out: which file, where in it, why, and how many rows. Nothing read is lost without a line here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

SCHEMA: dict[str, type[pl.DataType]] = {
    "file": pl.String,
    "reason": pl.String,
    "num_rows": pl.Int64,
    "first_place": pl.String,
}

UNREAD = "cannot be read"
"""What the reason of a file begins with that could not be read at all, and may be next time."""


@dataclass
class Rejects:
    """Counts rejected rows by file and reason; of each it keeps the first place.

    A row is what its format counts: an entry of an MPD playlist, a listening event of LFM-2b.
    """

    _counts: dict[tuple[str, str], list[int | str]] = field(default_factory=dict)

    def add(self, file: str, reason: str, num_rows: int = 1, place: str = "") -> None:
        """`place` is where in the file a person finds the first of them, such as `line 12` or `playlists[3]`."""
        if num_rows:
            known = self._counts.setdefault((file, reason), [0, place])
            known[0] = int(known[0]) + num_rows

    def extend(self, frames: Iterable[pl.DataFrame]) -> None:
        """Adds rows of `SCHEMA`, such as those kept from an earlier reading."""
        for frame in frames:
            for file, reason, num_rows, place in frame.select(list(SCHEMA)).iter_rows():
                self.add(file, reason, num_rows, place)

    def num_rows(self, file: str | None = None) -> int:
        return sum(int(count) for (name, _), (count, _) in self._counts.items() if file in (None, name))

    def frame(self) -> pl.DataFrame:
        """`SCHEMA`, by file and reason."""
        rows = [(file, reason, count, place) for (file, reason), (count, place) in sorted(self._counts.items())]
        return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def has_unread_files(path: Path) -> bool:
    """Whether the last run's `rejects.parquet` names files that it could not read at all; the next one tries again."""
    if not path.exists():
        return False
    unread = pl.scan_parquet(path).filter(pl.col("reason").str.starts_with(UNREAD))
    return not unread.head(1).collect().is_empty()
