"""The ledger: typed outcomes, what may be tried again, and files that are never half written."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from larp_core.audio.acquire import ledger as ledger_module
from larp_core.audio.acquire.ledger import (
    MAX_ATTEMPTS_ON_ERROR,
    SCHEMA,
    STATUSES,
    Entry,
    Ledger,
    has_audio_to_get,
    lost,
    read_entries,
)

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def test_rows_come_back_as_they_were_in_the_order_of_ids(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.parquet")
    full = Entry(7, "x", "ok", "yt-dlp", "audio/ab/x.mp3", "00", 52.5, "libsndfile", 1, NOON)
    bare = Entry(2, "y", "not_found", "folder", detail="no such file")
    ledger.record(full)
    ledger.record(bare)
    frame = ledger.save()
    assert pl.read_parquet(ledger.path).schema == pl.Schema(SCHEMA)
    assert frame["track_id"].to_list() == [2, 7]
    assert read_entries(ledger.path) == {"y": bare, "x": full}


def test_an_empty_ledger_keeps_its_schema(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger.parquet").save()
    assert pl.read_parquet(tmp_path / "ledger.parquet").schema == pl.Schema(SCHEMA)
    assert not has_audio_to_get(tmp_path / "ledger.parquet", tmp_path)


@pytest.mark.parametrize("status", STATUSES)
def test_only_refusals_and_errors_are_tried_again(tmp_path: Path, status: str) -> None:
    ledger = Ledger(tmp_path / "ledger.parquet")
    (tmp_path / "x.mp3").touch()
    ledger.record(Entry(1, "x", status, "yt-dlp", "x.mp3" if status == "ok" else None, attempts=1))
    ledger.save()
    assert has_audio_to_get(ledger.path, tmp_path) == (status in ("rate_limited", "bot_check", "error"))


def test_errors_are_given_up_in_the_end_and_refusals_never() -> None:
    assert not Entry(1, "x", "error", "yt-dlp", attempts=MAX_ATTEMPTS_ON_ERROR).is_retriable
    assert Entry(1, "x", "rate_limited", "yt-dlp", attempts=100).is_retriable


def test_no_ledger_has_nothing_to_try_again(tmp_path: Path) -> None:
    assert not has_audio_to_get(tmp_path / "ledger.parquet", tmp_path)


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_file_that_is_gone_is_to_be_got_again(tmp_path: Path, is_ours: bool) -> None:
    data_dir, music = tmp_path / "data", tmp_path / "music"
    file = (data_dir if is_ours else music) / "x.mp3"
    file.parent.mkdir()
    file.touch()
    ledger = Ledger(tmp_path / "ledger.parquet")
    ledger.record(Entry(1, "x", "ok", "store", "x.mp3" if is_ours else str(file)))
    ledger.record(Entry(2, "y", "corrupt", "folder", "never there.mp3"))
    ledger.save()
    assert not has_audio_to_get(ledger.path, data_dir)
    file.unlink()
    assert has_audio_to_get(ledger.path, data_dir)


def test_tracks_are_known_by_their_uri_and_take_their_present_ids(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.parquet")
    for track_id, uri in enumerate("abc"):
        ledger.record(Entry(track_id, uri, "ok", "store", f"{uri}.mp3"))
    ledger.keep_only({"c": 0, "a": 5, "new": 1})
    assert ledger.save().select("track_id", "track_uri", "path").rows() == [(0, "c", "c.mp3"), (5, "a", "a.mp3")]


def test_an_unknown_status_is_a_mistake_of_the_code() -> None:
    with pytest.raises(ValueError, match="unknown status 'fine'"):
        Entry(1, "x", "fine", "yt-dlp")


def test_a_ledger_of_an_older_version_is_read(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.parquet")
    ledger.record(Entry(1, "x", "ok", "store", "x.mp3", attempts=1, last_attempt_at=NOON))
    ledger.save().drop("refusals").write_parquet(ledger.path)
    assert read_entries(ledger.path) == ledger.entries


@given(st.lists(st.tuples(st.sampled_from(["a", "b/c", "/elsewhere"]), st.sampled_from("xyz"), st.booleans())))
def test_lost_files_are_those_that_are_not_there(files: list[tuple[str, str, bool]]) -> None:
    """Against a look at each file."""
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder, "data")
        entries = []
        for number, (place, name, is_there) in enumerate(files):
            path = (Path(folder + place) if place.startswith("/") else data_dir / place) / name
            if is_there:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            kept = str(path) if place.startswith("/") else f"{place}/{name}"
            entries.append(Entry(number, str(number), "ok", "store", kept))
        entries.append(Entry(-1, "no path", "ok", "store"))
        entries.append(Entry(-2, "not got", "removed", "urls"))
        naive = {
            entry.track_uri
            for entry in entries
            if entry.status == "ok" and not (entry.path and (data_dir / entry.path).exists())
        }
        assert lost(entries, data_dir) == naive


def test_a_link_to_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "x.mp3").symlink_to(tmp_path / "gone.mp3")
    assert lost([Entry(1, "x", "ok", "folder", "x.mp3")], tmp_path) == {"x"}


def test_it_is_saved_while_it_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "SAVE_EVERY_SECONDS", 0.0)
    Ledger(tmp_path / "ledger.parquet").record(Entry(1, "x", "ok", "store"))
    assert read_entries(tmp_path / "ledger.parquet")["x"].status == "ok"
