"""Listening events: first plays against plain Python on mangled files, several files, and which users take part."""

from __future__ import annotations

import bz2
import datetime
import os
import re
from pathlib import Path

import polars as pl
import pytest
from data_files import write_lfm, write_tsv
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from larp_core.config import IngestConfig
from larp_core.data.readers import lfm2b, lfm_events, lfm_plays, tsv
from larp_core.data.readers.parts import PartStore
from larp_core.data.readers.rejects import Rejects
from larp_core.runtime.errors import UserError
from larp_core.runtime.hashing import hash_ids, unit_interval

QUIET = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
EPOCH = datetime.datetime(1970, 1, 1)
NUMBER = re.compile(r" *\+?[0-9]+")
SIGNED = re.compile(r"[+-]?[0-9]+")
TIME = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2})")

IDS = st.one_of(
    st.integers(0, 4).map(str), st.sampled_from(["", "-1", "x", "1.5", "4294967295", "4294967296", "1\x00"])
)
TIMES = st.one_of(
    st.integers(0, 59).map(lambda second: f"2020-01-01 00:00:{second:02d}"),
    st.sampled_from(["", "soon", "2020-02-30 00:00:00", "2019-12-31 23:59:59", "1577836800", "-5", "9" * 19, "9" * 18]),
    st.sampled_from(
        [
            "0000-01-01 00:00:00",
            "1969-12-31 23:59:59",
            "9999-12-31 23:59:60",
            "2020-01-01 00:00:60",
            "2020-01-01T00:00:00",
            "2020-01-01 24:00:00",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"), max_size=20),
)
EVENTS = st.tuples(IDS, IDS, IDS, TIMES).map("\t".join)
NOISE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r"), max_size=30)
LINES = st.lists(st.one_of(EVENTS, EVENTS, EVENTS, NOISE), max_size=15)


def number(text: str) -> int | None:
    return int(text) if NUMBER.fullmatch(text) and int(text) < 2**32 else None


def seconds(text: str) -> int | None:
    if found := TIME.fullmatch(text):
        year, month, day, hour, minute, second = map(int, found.groups())
        leap = second == 60  # a leap second is the first of the next minute
        try:
            moment = datetime.datetime(year, month, day, hour, minute, second - leap)
        except ValueError:
            return None
        value = int((moment - EPOCH).total_seconds()) + leap
    else:
        value = int(text) if SIGNED.fullmatch(text) else -1
    return value if 0 <= value <= lfm_events.LAST_SECOND else None


def naive(lines: list[str], share: float, since: int) -> tuple[dict, dict]:
    """Plays `(user, track) -> (seconds, row)`, and the rejected rows by reason, in order."""
    plays: dict[tuple[int, int], tuple[int, int]] = {}
    rejects: dict[str, list[int]] = {}
    for row, line in enumerate(lines):
        fields = [*line.split("\t"), "", "", ""]
        user, track, second = number(fields[0]), number(fields[1]), seconds(fields[3])
        if user is None or track is None:
            reason = lfm_events.UNREADABLE_ID
        elif unit_interval(hash_ids([str(user)], 42, "lfm user"))[0] >= share:
            reason = lfm_events.NOT_CHOSEN
        elif second is None:
            reason = lfm_events.UNREADABLE_TIME
        elif second < since:
            reason = lfm_events.TOO_EARLY
        else:
            reason = lfm_events.REPEATED
            old = plays.get((user, track))
            plays[user, track] = min(old, (second, row)) if old else (second, row)
            if not old:
                continue
            row = max(old, (second, row))[1]
        rejects.setdefault(reason, []).append(row)
    return plays, {reason: (len(rows), f"line {min(rows) + 2}") for reason, rows in rejects.items()}


def write_events(path: Path, lines: list[str], end: str = "\n") -> Path:
    raw = end.join(["user_id\ttrack_id\talbum_id\ttimestamp", *lines, ""]).encode()
    path.write_bytes(bz2.compress(raw) if path.suffix == ".bz2" else raw)
    return path


@given(LINES, st.sampled_from([1.0, 0.4]), st.booleans(), st.sampled_from(["\n", "\r\n"]), st.booleans())
@QUIET
def test_mangled_events_equal_plain_python(tmp_path, lines, share, recent, end, packed):
    path = write_events(tmp_path / f"listening-events.tsv{'.bz2' if packed else ''}", lines, end)
    config = IngestConfig(lfm_user_fraction=share, lfm_since="2020-01-01" if recent else None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lfm_events, "CHUNK_BYTES", 40)
        patch.setattr(lfm_plays, "GROUP_ROWS", 2)
        patch.setattr(lfm_plays, "MERGE_ROWS", 3)
        reading = lfm_events.read_plays(path, config)
    plays, rejects = naive(lines, share, 1_577_836_800 if recent else -(10**12))
    found = {
        (user, track): (int((played_at - EPOCH).total_seconds()), row)
        for user, track, _, played_at, row in reading.frames["plays"].iter_rows()
    }
    assert found == plays
    assert {reason: (num, place) for _, reason, num, place in reading.frames["rejects"].iter_rows()} == rejects
    assert reading.num_rows == len(lines) == reading.num_kept + reading.frames["rejects"]["num_rows"].sum()


def read(folder: Path, store: PartStore, config: IngestConfig | None = None):
    rejects = Rejects()
    (chunk,) = lfm2b.read_chunks(folder, store, rejects, config or IngestConfig())
    return chunk, rejects


@given(st.lists(LINES, min_size=1, max_size=3))
@QUIET
def test_every_event_of_every_file_is_kept_or_rejected(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("lfm")
    write_lfm(folder, [], [(1, "A", "x"), (2, "B", "y"), (3, "", "")], [(1, "same"), (2, "same")])
    names = [f"listening-events{end}.tsv" for end in ("", "-2", "-3")][: len(files)]
    (folder / "listening-events.tsv.bz2").unlink()
    for name, lines in zip(names, files, strict=True):
        write_events(folder / name, lines)
    store = PartStore(folder / "parts", "")
    if not any(files):
        with pytest.raises(UserError, match="holds a header and no events"):
            read(folder, store)
        return
    chunk, rejects = read(folder, store)
    lost = sum(rejects.num_rows(name) for name in names)
    assert chunk.interactions.height + lost == sum(map(len, files)) and lost == rejects.num_rows()
    everything = [
        (seconds(fields[3]), index, row, int(fields[0]))
        for index, lines in enumerate(files)
        for row, line in enumerate(lines)
        if len(fields := line.split("\t")) > 3 and number(fields[0]) is not None
        if number(fields[1]) in (1, 2) and seconds(fields[3]) is not None
    ]
    firsts = {user: second for second, _, _, user in sorted(everything, reverse=True)}
    found = chunk.interactions.select("source_id", "track_uri", "played_at").rows()
    assert sorted(found) == sorted(
        (str(user), "same", EPOCH + datetime.timedelta(seconds=second)) for user, second in firsts.items()
    )


def test_only_new_and_changed_files_are_read(tmp_path, monkeypatch):
    names_read = []
    monkeypatch.setattr(
        lfm2b, "read_plays", lambda path, config: names_read.append(path.name) or lfm_events.read_plays(path, config)
    )
    store = PartStore(tmp_path / "parts", "")
    folder = tmp_path / "raw"
    write_lfm(folder, [(1, 1, 1, "2020-01-01 00:00:05"), (1, 2, 1, "2020-01-01 00:00:06")], [(1, "A", "x")])
    before, _ = read(folder, store)
    again, rejects = read(folder, store)
    assert names_read == ["listening-events.tsv.bz2"] and again.interactions.equals(before.interactions)
    assert rejects.frame().select("reason", "num_rows", "first_place").rows() == [(lfm2b.NO_NAME, 1, "line 3")]

    write_events(folder / "listening-events-2021.tsv", ["1\t1\t1\t2020-01-01 00:00:01", "2\t1\t1\t2020-01-01 00:00:05"])
    merged, rejects = read(folder, store)
    assert names_read[1:] == ["listening-events-2021.tsv"]
    assert merged.interactions.select("source_id", pl.col("played_at").dt.second()).rows() == [("1", 1), ("2", 5)]
    elsewhere = ("listening-events.tsv.bz2", lfm2b.REPEATED_ELSEWHERE, 1, "line 2")
    assert elsewhere in rejects.frame().rows()

    write_tsv(folder, "tracks", "track_id artist_name track_name", [(1, "A", "x"), (2, "B", "y")])
    os.utime(folder / "listening-events.tsv.bz2")
    named, rejects = read(folder, store)
    assert len(names_read) == 2 and named.interactions.height == 3 and lfm2b.NO_NAME not in rejects.frame()["reason"]

    (folder / "listening-events-2021.tsv").unlink()
    assert read(folder, store)[0].interactions.height == 2 and len(list((tmp_path / "parts").iterdir())) == 1


def test_of_equal_times_the_first_file_wins(tmp_path):
    write_lfm(tmp_path, [(1, 1, 7, "2020-01-01 00:00:05")], [(1, "A", "x")])
    write_events(tmp_path / "listening_events_b.tsv", ["1\t1\t8\t2020-01-01 00:00:05"])
    chunk, rejects = read(tmp_path, PartStore(tmp_path / "parts", ""))
    assert chunk.tracks["album_uri"].to_list() == ["lfm:7"]
    assert rejects.frame()["file"].to_list() == ["listening_events_b.tsv"]


def test_later_events_move_no_user_in_or_out(tmp_path):
    config = IngestConfig(lfm_user_fraction=0.5)
    events = [(user, 1, 1, "2020-01-01 00:00:00") for user in range(400)]
    chosen = []
    for num in (200, 400):
        write_lfm(tmp_path, events[:num], [(1, "A", "x")])
        chunk, rejects = read(tmp_path, PartStore(tmp_path / f"parts{num}", ""), config)
        chosen.append({int(user) for user in chunk.playlists["source_id"]})
        assert len(chosen[-1]) + rejects.num_rows() == num and 0.4 * num < len(chosen[-1]) < 0.6 * num
    assert chosen[0] == {user for user in chosen[1] if user < 200}


def test_what_a_cut_off_events_file_holds_is_kept(tmp_path):
    write_lfm(tmp_path, [(user, 1, 1, "2020-01-01 00:00:00") for user in range(100_000)], [(1, "A", "x")])
    path = tmp_path / "listening-events.tsv.bz2"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    chunk, rejects = read(tmp_path, PartStore(tmp_path / "parts", ""))
    num = chunk.interactions.height
    assert 0 < num < 100_000
    assert rejects.frame().rows() == [(path.name, tsv.DAMAGE, 1, f"line {num + 2}")]


def test_a_lookup_file_with_bad_ids_loses_only_those_rows(tmp_path):
    write_lfm(tmp_path, [(1, 1, 1, "2020-01-01 00:00:00")], [("x", "A", "x"), (1, "A", "x"), ("", "B", "y")])
    chunk, rejects = read(tmp_path, PartStore(tmp_path / "parts", ""))
    assert chunk.interactions.height == 1
    assert rejects.frame().rows() == [("tracks.tsv.bz2", lfm2b.NO_KEY, 2, "line 2")]


def test_a_since_that_is_no_date_is_refused(tmp_path):
    write_lfm(tmp_path, [(1, 1, 1, "2020-01-01 00:00:00")], [(1, "A", "x")])
    with pytest.raises(UserError, match=r"ingest\.lfm_since is 'soon'; it is not a date; write it 2020-01-31"):
        read(tmp_path, PartStore(tmp_path / "parts", ""), IngestConfig(lfm_since="soon"))
