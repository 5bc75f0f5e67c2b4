"""The user's tables of tracks: UTF-8 CSV of `track_uri` and one value, each bad row told and the rest used."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from larp_core.audio.names import bare_uri, safe_file_name
from larp_core.runtime.errors import UserError

MAX_SHOWN_CHARS = 80

Value = TypeVar("Value")


@dataclass(frozen=True)
class BadRow:
    """A row that can't be used: `<table>, line <n>`, the bare track uri, empty where it has none, and the reason.

    The reason names the remedy, and shows no secret.
    """

    where: str
    track_uri: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


def shown(cell: str) -> str:
    """A cell within quotes and on one line, cut where it is long."""
    return repr(cell if len(cell) <= MAX_SHOWN_CHARS else f"{cell[: MAX_SHOWN_CHARS - 1]}…")


@dataclass(frozen=True)
class UserTable(Generic[Value]):
    """Values by bare track uri, and the rows that gave none."""

    values: dict[str, Value] = field(default_factory=dict)
    bad_rows: list[BadRow] = field(default_factory=list)

    def find(self, track_uri: str) -> Value | BadRow | None:
        """By the uri or its safe file name: the value, else the first bad row, else None."""
        names = (track_uri, safe_file_name(track_uri))
        good = next((self.values[name] for name in names if name in self.values), None)
        return good or next((self._bad_row_of[name] for name in names if name in self._bad_row_of), None)

    @cached_property
    def _bad_row_of(self) -> dict[str, BadRow]:
        return {row.track_uri: row for row in reversed(self.bad_rows) if row.track_uri}


def read_pairs(table: Path, column: str, value_of: Callable[[str], Value]) -> UserTable[Value]:
    """Reads the columns `track_uri` and `column`; others are passed over.

    A line is a row, since neither ids nor values hold line breaks: a quote that nobody closed costs its own line, not
    the rest of the table. A track's first good row counts, and a later one with another value is bad.

    Args:
        value_of: what a cell stands for; raises ValueError, with reason and remedy, where it stands for nothing.

    Raises:
        UserError: no such file, no UTF-8, no such header, or there are rows and not one can be used.
    """
    pairs: UserTable[Value] = UserTable()
    for where, uri, cell in _rows(table, column):
        try:
            if not uri or not cell:
                raise ValueError(f"track_uri or {column} is empty; fill in both or remove the line")
            value = value_of(cell)
            if pairs.values.setdefault(uri, value) != value:
                raise ValueError(f"track_uri {shown(uri)} has another {column} on an earlier line; keep one")
        except ValueError as error:
            pairs.bad_rows.append(BadRow(where, uri, str(error)))
    if pairs.bad_rows and not pairs.values:
        raise UserError(f"{pairs.bad_rows[0]} (of {len(pairs.bad_rows):,} rows none can be used)")
    return pairs


def _rows(table: Path, column: str) -> Iterator[tuple[str, str, str]]:
    """`("<table>, line <n>", bare track uri, cell)` of each line after the header that isn't blank."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as handle:
            header = _cells(handle.readline())
            if not {"track_uri", column} <= set(header):
                raise UserError(
                    f"{table}, line 1: the header lacks track_uri or {column}; make it 'track_uri,{column}'"
                )
            for number, line in enumerate(handle, 2):
                if line.strip():
                    row = dict(zip(header, _cells(line), strict=False))
                    uri, cell = row.get("track_uri", ""), row.get(column, "")
                    yield f"{table}, line {number}", bare_uri(uri), cell.strip()
    except UnicodeDecodeError as error:
        raise UserError(
            f"{table}: not CSV in UTF-8 ({error}); save it as such, with the header 'track_uri,{column}'"
        ) from None
    except OSError as error:
        raise UserError(f"{table}: cannot be read ({error.strerror}); correct its path or its permissions") from None


def _cells(line: str) -> list[str]:
    """None at all where a cell is longer than the csv module takes."""
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []
