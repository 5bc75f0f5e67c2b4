"""SQLite files: opened in one way, and their errors told in one line that says what to do."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from larp_core.runtime.errors import UserError
from larp_core.runtime.files import make_folder

NOT_THE_FILES_FAULT = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}
"""What goes wrong with a sound file too: its disk, its folder, another process."""


def open_database(path: Path, script: str, timeout_seconds: float = 60.0) -> sqlite3.Connection:
    """Opens or creates a file, and runs a script: pragmas, tables that may be there already.

    Args:
        timeout_seconds: how long any statement waits for another process that is writing.

    Raises:
        UserError: the folder can't be written.
        sqlite3.Error: whatever else; see `telling`.
    """
    make_folder(path.parent)
    database = sqlite3.connect(path, timeout=timeout_seconds)
    try:
        database.executescript(script)
    except sqlite3.Error:
        database.close()
        raise
    return database


@contextlib.contextmanager
def telling(path: Path, remedy: str) -> Iterator[None]:
    """What SQLite raises within becomes a line for the user, `remedy` at its end.

    Raises:
        UserError: SQLite raised an error.
    """
    try:
        yield
    except sqlite3.Error as error:
        if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            remedy = "another process uses it; let that one end first"
        raise UserError(f"{path}: {error}; {remedy}") from None


def is_damage(error: sqlite3.Error) -> bool:
    """True where the file itself is at fault: cut off, written over, of another kind, or without the tables named."""
    return _code(error) not in NOT_THE_FILES_FAULT


def _code(error: sqlite3.Error) -> int:
    """The kind of an error; errors of Python's module, such as text that is no UTF-8, count as `SQLITE_ERROR`."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
