"""SQLite's errors: one line for the user, and whether the file is at fault."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from larp_core.runtime.errors import UserError
from larp_core.runtime.sqlite import is_damage, open_database, telling

TABLE = "CREATE TABLE IF NOT EXISTS rows (name TEXT PRIMARY KEY);"


def test_a_file_is_made_with_its_folder_and_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.sqlite"
    with closing(open_database(path, TABLE)) as database, database:
        database.execute("INSERT INTO rows VALUES ('a')")
    with closing(open_database(path, TABLE)) as database:
        assert database.execute("SELECT * FROM rows").fetchall() == [("a",)]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(UserError, match="permission denied; set LARP_DATA"):
        open_database(tmp_path / "x.sqlite", TABLE)


def test_a_full_disk_is_told_with_its_remedy_and_is_no_damage(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "x.sqlite", f"{TABLE} PRAGMA max_page_count = 3;")) as database:
        full = pytest.raises(UserError, match=r"x\.sqlite: database or disk is full; make room$")
        with full, telling(tmp_path / "x.sqlite", "make room"), database:
            database.execute("INSERT INTO rows VALUES (?)", ("long" * 10_000,))
        with pytest.raises(sqlite3.OperationalError) as caught:
            database.execute("INSERT INTO rows VALUES (?)", ("long" * 10_000,))
    assert not is_damage(caught.value)


def test_another_process_at_work_is_waited_for_and_then_told(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with closing(open_database(path, TABLE)) as ours, closing(open_database(path, TABLE, 0.01)) as theirs:
        ours.execute("BEGIN IMMEDIATE")
        busy = pytest.raises(UserError, match="another process uses it; let that one end first")
        with busy, telling(path, "make room"):
            theirs.execute("BEGIN IMMEDIATE")


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"?" * 4000])
def test_what_is_no_database_is_damage(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.sqlite").write_bytes(content)
    with pytest.raises(sqlite3.DatabaseError) as caught:
        open_database(tmp_path / "x.sqlite", TABLE)
    assert is_damage(caught.value)


def test_a_database_of_another_kind_is_damage(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "x.sqlite", TABLE)) as database:
        for query in ("SELECT * FROM others", "SELECT other FROM rows", "SELECT CAST(x'ff' AS TEXT)"):
            with pytest.raises(sqlite3.Error) as caught:
                database.execute(query).fetchall()
            assert is_damage(caught.value)
