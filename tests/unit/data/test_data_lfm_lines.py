"""The quick reader of events against the patient one: the same numbers, or it leaves the block alone."""

from __future__ import annotations

import datetime

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_data_lfm_events import LINES, QUIET, write_events

from larp_core.config import IngestConfig
from larp_core.data import lfm_events, tsv
from larp_core.data.lfm_lines import read_lines

IDS = st.one_of(st.integers(0, 10**10), st.integers(0, 9)).map(str)
ODD = st.sampled_from(["", "-1", "-2", "+5", " 7", "007", "1.0", "x", "1\r", "2013-11-23 14:22:38", "000000000000"])
TIMES = st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31)).map(
    lambda moment: f"{moment:%Y}".zfill(4) + f"{moment:-%m-%d %H:%M:%S}"
)
DIGITS = st.text("0123456789-: ", min_size=18, max_size=20)
ALMOST = st.tuples(*(st.integers(0, top) for top in (13, 32, 25, 61, 61))).map(
    lambda parts: "2{:03d}-{:02d}-{:02d} {:02d}:{:02d}:{:02d}".format(parts[2] * 8, *parts)
)


def fields(rare: st.SearchStrategy[str], common: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.integers(0, 9).flatmap(lambda dice: common if dice else rare)


ROWS = st.tuples(fields(ODD, IDS), fields(ODD, IDS), fields(ODD, IDS), fields(DIGITS, TIMES | ALMOST)).map("\t".join)


def patient(text: bytes) -> pl.DataFrame:
    """What the reader of any table makes of the lines."""
    columns = lfm_events.EVENT_COLUMNS
    bound = {column.name: index for index, column in enumerate(columns)}
    frame = tsv._parse(tsv._own_header(4) + text, 4, bound, columns)
    return frame.select("user_id", "track_id", "album_id", seconds=lfm_events.parse_seconds(frame["timestamp"]))


@given(st.lists(ROWS, min_size=1, max_size=6), st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_read_quickly_equals_the_patient_way(rows, end):
    text = end.join([*rows, ""]).encode()
    quick = read_lines(text)
    if quick is not None:
        assert quick.equals(patient(text)) and quick.schema == patient(text).schema


@given(st.binary(max_size=80), st.booleans())
@QUIET
def test_any_bytes_are_left_alone_or_read_right(raw, closed):
    text = b"1\t2\t-1\t2013-11-23 14:22:38\n" + raw + (b"\n" if closed else b"")
    quick = read_lines(text)
    assert quick is None or quick.equals(patient(text))


@pytest.mark.parametrize("year", [1970, 1999, 2000, 2004, 2013, 2100, 2400, 9999])
def test_every_day_of_a_year_is_that_day(year):
    days = pl.datetime_range(datetime.datetime(year, 1, 1), datetime.datetime(year, 12, 31), "1d", eager=True)
    times = days.dt.strftime("%Y-%m-%d %H:%M:%S").to_list()
    found = read_lines("".join(f"5\t123456789\t-1\t{time}\n" for time in times).encode())
    assert found is not None and found["seconds"].to_list() == days.dt.epoch("s").to_list()
    assert found.select("user_id", "track_id", "album_id").unique().rows() == [(5, 123_456_789, None)]


@pytest.mark.parametrize(
    "line",
    [
        "1\t2\t3\t2013-02-29 00:00:00",
        "1\t2\t3\t2013-04-31 00:00:00",
        "1\t2\t3\t2100-02-29 00:00:00",
        "1\t2\t3\t1969-12-31 23:59:59",
        "1\t2\t3\t2013-01-01 24:00:00",
        "1\t2\t3\t2013-01-01 00:00:60",
        "1\t2\t3\t2013-00-01 00:00:00",
        "1\t2\t3\t2013-01-00 00:00:00",
        "1\t2\t3\t1357000000",
        "1\t2\t3\t2013-01-01 00:00:00 ",
        "1\t2\t3\t2013-01-01 00:00:00\t",
        "1\t2\t2013-01-01 00:00:00",
        "1\t2013-01-01 00:00:00",
        "1234567890\t2\t3\t2013-01-01 00:00:00",
        "1\t-1\t3\t2013-01-01 00:00:00",
        "1\t2\t-10\t2013-01-01 00:00:00",
        "",
        "1",
        "1\t2\t3\t",
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_an_odd_line_leaves_the_block_to_the_patient_reader(line, place):
    lines = ["7\t8\t9\t2013-01-01 00:00:00"] * 2
    assert read_lines("".join(f"{text}\n" for text in lines).encode()) is not None
    lines.insert(place, line)
    assert read_lines("".join(f"{text}\n" for text in lines).encode()) is None


@given(LINES, st.sampled_from([1.0, 0.4]), st.booleans(), st.sampled_from(["\n", "\r\n"]), st.booleans())
@QUIET
def test_a_file_read_by_both_gives_what_the_patient_one_gives(tmp_path_factory, lines, share, recent, end, packed):
    folder = tmp_path_factory.mktemp("lfm")
    sound = [f"{user}\t{track}\t-1\t2020-01-01 00:00:{track:02d}" for user in range(3) for track in range(4)]
    path = write_events(folder / f"listening-events.tsv{'.bz2' if packed else ''}", [*sound, *lines, *sound], end)
    config = IngestConfig(lfm_user_fraction=share, lfm_since="2020-01-01" if recent else None)
    readings = []
    for from_bytes in (0, 2**62):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lfm_events, "CHUNK_BYTES", 70)
            patch.setattr(lfm_events, "SHORTCUT_FROM_BYTES", from_bytes)
            patch.setattr(lfm_events, "GROUP_ROWS", 2)
            readings.append(lfm_events.read_plays(path, config))
    for name in ("plays", "rejects"):
        assert readings[0].frames[name].equals(readings[1].frames[name])
    assert readings[0].num_rows == readings[1].num_rows == len(lines) + 2 * len(sound)


def test_another_header_is_read_the_patient_way(tmp_path, monkeypatch):
    monkeypatch.setattr(lfm_events, "SHORTCUT_FROM_BYTES", 0)
    path = tmp_path / "listening-events.tsv"
    path.write_text("track_id\tuser_id\talbum_id\ttimestamp\n1\t2\t3\t2020-01-01 00:00:00\n")
    assert lfm_events.read_plays(path, IngestConfig()).frames["plays"].row(0)[:3] == (2, 1, 3)


def test_the_distributions_header_takes_the_quick_way(tmp_path, monkeypatch):
    monkeypatch.setattr(lfm_events, "SHORTCUT_FROM_BYTES", 0)
    monkeypatch.setattr(tsv, "_parse", None)
    path = write_events(tmp_path / "listening-events.tsv.bz2", ["1\t2\t3\t2020-01-01 00:00:00"], "\r\n")
    assert lfm_events.read_plays(path, IngestConfig()).frames["plays"].row(0)[:3] == (1, 2, 3)
