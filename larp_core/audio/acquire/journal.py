"""The journal of a ledger that is being filled: what no saved ledger holds yet, on disk row by row in SQLite.

A row is in the operating system's hands when `append` returns: a run that is killed at any moment forgets none. A power
cut may cost the last rows, as with any file that isn't flushed row by row, and never the rows before them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from larp_core.runtime.errors import UserError
from larp_core.runtime.files import atomic_path, make_folder
from larp_core.runtime.sqlite import is_damage, open_database, telling

Parsed = TypeVar("Parsed")

KEY = "track_uri"
REMEDY = "free some space or set LARP_DATA to another disk"
TIMEOUT_SECONDS = 5.0

ALONE = "PRAGMA locking_mode = EXCLUSIVE;"
"""One run alone fills a ledger; so SQLite needs no memory shared with others, which network disks don't have."""

LOGGED = f"{ALONE} PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 8000;"
"""With a log of changes, which can't leave the file in pieces, and is flushed and emptied at 33 MB, some thousands of
rows, instead of at each."""

PARTS = ("-wal", "-shm", "")
"""The log goes before its file: left alone, it would be taken for that of the next file of the name."""

logger = logging.getLogger(__name__)


class Journal:
    """Rows by their `track_uri`, of which the last one counts.

    Attributes:
        path: the file, which is there from the first row to `remove`.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self._create = f"CREATE TABLE rows ({', '.join(columns)}, PRIMARY KEY ({KEY}))"
        self._insert = f"INSERT OR REPLACE INTO rows VALUES ({', '.join('?' * len(columns))})"
        self._database: sqlite3.Connection | None = None

    def append(self, row: Sequence[Any]) -> None:
        """Writes a row, in the order of the columns.

        Raises:
            UserError: the folder can't be written, its disk is full, or another run has the file.
        """
        with telling(self.path, REMEDY):
            if self._database is None:
                self._database = self._opened()
            with self._database:
                self._database.execute(self._insert, row)

    def read(self, parse: Callable[[dict[str, Any]], Parsed]) -> list[Parsed]:
        """What `parse` makes of each row that a killed run left, by column.

        A damaged journal, or one with a row that `parse` refuses with a ValueError or TypeError, is told in the log and
        set aside as `<name>.damaged`; the list is empty then. A journal without rows is removed.

        Raises:
            UserError: the folder can't be read or written, or another run has the file.
        """
        if not self.path.exists():
            return []
        with telling(self.path, REMEDY):
            try:
                rows = [parse(row) for row in self._rows()]
            except UserError:
                raise
            except (sqlite3.Error, TypeError, ValueError) as error:  # SQLite may quote damaged bytes, which are no text
                if isinstance(error, sqlite3.Error) and not is_damage(error):
                    raise
                self._set_aside(error)
                return []
        if not rows:
            self.remove()
        return rows

    def close(self) -> None:
        """Lets go of the file, which stays."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def remove(self) -> None:
        """Forgets all rows: they have been saved."""
        self.close()
        for part in PARTS:
            self._part(part).unlink(missing_ok=True)

    def _opened(self) -> sqlite3.Connection:
        """The file, which is never seen under its name without its table."""
        if not self.path.exists():
            self.remove()
            with atomic_path(self.path) as partial, contextlib.closing(open_database(partial, LOGGED)) as database:
                database.execute(self._create)
        return open_database(self.path, LOGGED, TIMEOUT_SECONDS)

    def _rows(self) -> list[dict[str, Any]]:
        with contextlib.closing(open_database(self.path, ALONE, TIMEOUT_SECONDS)) as database:
            found = database.execute("SELECT * FROM rows")
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found]

    def _set_aside(self, error: Exception) -> None:
        make_folder(self.path.parent)
        aside = self.path.with_name(self.path.name + ".damaged")
        for part in PARTS:
            aside.with_name(aside.name + part).unlink(missing_ok=True)
            if self._part(part).exists():
                self._part(part).replace(aside.with_name(aside.name + part))
        logger.warning("%s is damaged (%s) and was set aside as %s; the run goes on", self.path, error, aside.name)

    def _part(self, part: str) -> Path:
        return self.path.with_name(self.path.name + part)


def read_older_version(path: Path, parse: Callable[[dict[str, Any]], Parsed]) -> list[Parsed]:
    """What `parse` makes of a journal as version 0.1 left it, JSON lines; a line that is damaged or cut off ends it."""
    rows: list[Parsed] = []
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                rows.append(parse(dict(json.loads(line))))
            except (TypeError, ValueError):
                break
    return rows
