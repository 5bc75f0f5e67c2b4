"""The journal of a ledger: no row is forgotten, whenever a run is killed, and a damaged one stops nobody."""

from __future__ import annotations

import functools
import json
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from larp_core.audio.acquire import journal as journal_module
from larp_core.audio.acquire.journal import Journal
from larp_core.audio.acquire.ledger import NAMES, STATUSES, Entry, Ledger, read_entries
from larp_core.runtime.errors import UserError

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
ROWS = [
    Entry(1, "x", "ok", "urls", "audio/x.mp3", "00", 52.5, "libsndfile", 2, NOON, refusals="youtube=removed"),
    Entry(2, "y \u2028\n\0", "not_found", "urls", detail="Ünïcode"),
]

TEXTS = st.text(max_size=5)
ENTRIES = st.builds(
    Entry,
    st.integers(0, 2**31 - 1),
    st.sampled_from(["a", "b", "c", "ü\n", "\0", ""]),
    st.sampled_from(STATUSES),
    TEXTS,
    st.none() | TEXTS,
    st.none() | TEXTS,
    st.none() | st.floats(allow_nan=False),
    st.none() | TEXTS,
    st.integers(0, 2**31 - 1),
    st.none() | st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    TEXTS,
    TEXTS,
    st.none() | st.floats(allow_nan=False),
)
SAVE, KILL, INTERRUPT = "save", "kill", "interrupt"


@settings(deadline=None, max_examples=50)
@given(st.lists(ENTRIES | st.sampled_from([SAVE, KILL, INTERRUPT]), max_size=12))
def test_records_saves_and_kills_give_what_a_dict_would(moves: list[Entry | str]) -> None:
    """A killed run leaves its files as they are at that moment: here a copy of them, with which the next one goes on.
    One that is interrupted closes its files."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home, "0")
        folder.mkdir()
        ledger, expected = Ledger(folder / "ledger.parquet"), {}
        for number, move in enumerate([*moves, KILL], start=1):
            if isinstance(move, Entry):
                ledger.record(move)
                expected[move.track_uri] = move
            elif move == SAVE:
                ledger.save()
                assert read_entries(ledger.path) == expected
                assert list(folder.glob("ledger.journal*")) == []
            else:
                if move == KILL:
                    folder = Path(shutil.copytree(folder, Path(home, str(number))))
                ledger.close()
                ledger = Ledger(folder / "ledger.parquet")
                assert ledger.entries == expected
                assert read_entries(ledger.path) == expected
        assert {path.name for path in folder.iterdir()} <= {"ledger.parquet"}


WRITER = """
import sys
from pathlib import Path
from larp_core.audio.acquire.ledger import Entry, Ledger
ledger = Ledger(Path(sys.argv[1]))
for number in range(10**6):
    ledger.record(Entry(number, str(number), "ok", "urls", detail="long" * 100))
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def test_rows_that_were_told_of_outlive_a_kill(tmp_path: Path) -> None:
    path, told = tmp_path / "ledger.parquet", -1
    for num_lines in (1, 7, 300):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout is not None
            lines = [int(run.stdout.readline()) for _ in range(num_lines)]
            run.send_signal(signal.SIGKILL)
            lines += [int(line) for line in run.stdout if line.endswith("\n")]
        told = max(told, *lines)
        with closing(Ledger(path)) as ledger:
            assert ledger.entries.keys() >= {str(number) for number in range(told + 1)}


def left_journal(folder: Path) -> Path:
    """The journal of a run that was killed, all of it in the file itself."""
    ledger = Ledger(folder / "ledger.parquet")
    for row in ROWS:
        ledger.record(row)
    ledger.close()
    return ledger.journal.path


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 4096)


def of_another_kind(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE others (name)")


def with_other_columns(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("ALTER TABLE rows RENAME COLUMN status TO said")


def with_an_unknown_status(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE rows SET status = 'fine'")


@pytest.mark.parametrize(
    "damage",
    [
        truncated,
        lambda path: os.truncate(path, 0),
        lambda path: os.truncate(path, 50),
        lambda path: path.write_bytes(b"no database at all" * 1000),
        of_another_kind,
        with_other_columns,
        with_an_unknown_status,
    ],
)
def test_a_damaged_journal_is_told_and_set_aside(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    saved = Ledger(tmp_path / "ledger.parquet")
    saved.record(Entry(3, "saved", "ok", "store"))
    saved.save()
    journal = left_journal(tmp_path)
    (tmp_path / "ledger.journal.sqlite.damaged-wal").write_text("of one that was set aside before")
    damage(journal)
    damaged = journal.read_bytes()
    ledger = Ledger(tmp_path / "ledger.parquet")
    assert list(ledger.entries) == ["saved"]
    assert [path.name for path in tmp_path.glob("ledger.journal*")] == ["ledger.journal.sqlite.damaged"]
    assert (tmp_path / "ledger.journal.sqlite.damaged").read_bytes() == damaged
    (line,) = caplog.messages
    assert line.startswith(f"{journal} is damaged (") and line.endswith(
        "ledger.journal.sqlite.damaged; the run goes on"
    )
    ledger.record(ROWS[0])
    ledger.save()
    assert list(Ledger(tmp_path / "ledger.parquet").entries) == ["x", "saved"]


@functools.cache
def journal_of_many_rows() -> bytes:
    with tempfile.TemporaryDirectory() as folder, closing(Journal(Path(folder, "x"), NAMES)) as journal:
        for number in range(100):
            row = {
                "track_id": number,
                "track_uri": str(number),
                "status": "ok",
                "source": "urls",
                "detail": "long" * 99,
            }
            journal.append([row.get(name, 0 if name == "attempts" else None) for name in NAMES])
        journal.close()
        return journal.path.read_bytes()


@settings(deadline=None, max_examples=50)
@given(st.floats(0, 1), st.floats(0, 1), st.binary(max_size=1))
def test_a_journal_that_is_cut_off_or_written_over_anywhere_stops_no_run(start: float, end: float, fill: bytes) -> None:
    """Blocks of it filled with a byte, or all that follows gone."""
    content = journal_of_many_rows()
    blocks = slice(*(round(place * len(content) / 512) * 512 for place in (start, end)))
    content = content[: blocks.start] + (fill * len(content[blocks]) + content[blocks.stop :] if fill else b"")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ledger.parquet")
        path.with_suffix(".journal.sqlite").write_bytes(content)
        with quiet():
            assert len(Ledger(path).entries) in (0, 100)


@contextmanager
def quiet() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def test_a_log_without_its_journal_is_not_taken_for_the_next_ones(tmp_path: Path) -> None:
    killed = Ledger(tmp_path / "ledger.parquet")
    killed.record(Entry(9, "of another run", "ok", "store"))
    log = tmp_path / "ledger.journal.sqlite-wal"
    left = log.read_bytes()
    killed.save()
    (tmp_path / "ledger.parquet").unlink()
    log.write_bytes(left)
    ledger = Ledger(tmp_path / "ledger.parquet")
    ledger.record(ROWS[0])
    ledger.close()
    assert Ledger(tmp_path / "ledger.parquet").entries == {"x": ROWS[0]}


def test_a_journal_of_the_version_before_is_read_once(tmp_path: Path) -> None:
    """As a run left it that was killed in the middle of a line; rows of the new one are the later ones."""
    older = tmp_path / "ledger.journal"
    left_journal(tmp_path)
    rows = [Entry(1, "x", "error", "urls"), Entry(5, "z", "ok", "store", last_attempt_at=NOON)]
    lines = [json.dumps(asdict(row), default=datetime.isoformat) for row in rows]
    older.write_text("\n".join([*lines, '{"track_id": 3, "track_u']))
    expected = {row.track_uri: row for row in (*ROWS, rows[1])}
    assert Ledger(tmp_path / "ledger.parquet").entries == expected
    assert read_entries(tmp_path / "ledger.parquet") == expected
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.parquet"]


def test_a_ledger_that_was_closed_goes_on_with_its_journal(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.parquet")
    for row in ROWS:
        ledger.record(row)
        ledger.close()
    assert Ledger(tmp_path / "ledger.parquet").entries == {row.track_uri: row for row in ROWS}


def test_a_journal_of_a_run_that_was_killed_before_its_first_row_is_removed(tmp_path: Path) -> None:
    with closing(sqlite3.connect(left_journal(tmp_path))) as database, database:
        database.execute("DELETE FROM rows")
    assert Ledger(tmp_path / "ledger.parquet").entries == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "\0\0\0", "[1, 2]\n", '{"track_id": 1}\n'])
def test_an_older_journal_that_holds_no_row_is_removed(tmp_path: Path, content: str) -> None:
    (tmp_path / "ledger.journal").write_text(content)
    assert Ledger(tmp_path / "ledger.parquet").entries == {}
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_and_a_folder_that_cannot_be_written_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(tmp_path / "ledger.parquet")
    ledger.record(ROWS[0])
    assert ledger.journal._database is not None
    ledger.journal._database.execute("PRAGMA max_page_count = 3")
    with pytest.raises(UserError, match=r"journal\.sqlite: database or disk is full; free some space or set LARP_DATA"):
        ledger.record(Entry(3, "z", "error", "urls", detail="long" * 10_000))
    ledger.close()
    assert Ledger(tmp_path / "ledger.parquet").entries == {"x": ROWS[0]}  # what was written before is kept
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(UserError, match="permission denied; set LARP_DATA to a folder you may write to"):
        Ledger(tmp_path / "ledger.parquet").record(ROWS[1])


def test_another_run_that_fills_the_ledger_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "TIMEOUT_SECONDS", 0.01)
    with closing(Ledger(tmp_path / "ledger.parquet")) as ledger:
        ledger.record(ROWS[0])
        with pytest.raises(UserError, match="another process uses it; let that one end first"):
            Ledger(tmp_path / "ledger.parquet")
