"""A compiled line of an event against the patient reader: the same numbers, or it is said to be odd."""

from __future__ import annotations

import datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_data_lfm_events import QUIET

from larp_core.data.readers import lfm_events, tsv
from larp_core.data.readers.lfm_lines import NO_ALBUM, NUM_USERS, read_line

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


def quick(text: bytes) -> pl.DataFrame | None:
    """`user_id, track_id, album_id, seconds` of all lines, or None where one is odd."""
    rows, at = [], 0
    while at < len(text):
        user, track, album, second, at = read_line(np.frombuffer(text, dtype=np.uint8), at)
        if user < 0:
            return None
        rows.append((user, track, None if album == NO_ALBUM else album, second))
    schema = {"user_id": pl.UInt32, "track_id": pl.UInt32, "album_id": pl.UInt32, "seconds": pl.Int64}
    return pl.DataFrame(rows, schema, orient="row")


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
    found = quick(text)
    assert found is None or (found.equals(patient(text)) and found.schema == patient(text).schema)


@given(st.binary(max_size=80))
@QUIET
def test_any_bytes_are_odd_or_read_right(raw):
    text = b"1\t2\t-1\t2013-11-23 14:22:38\n" + raw + b"\n"
    found = quick(text)
    assert found is None or found.equals(patient(text))


@pytest.mark.parametrize("year", [1970, 1999, 2000, 2004, 2013, 2100, 2400, 9999])
def test_every_day_of_a_year_is_that_day(year):
    days = pl.datetime_range(datetime.datetime(year, 1, 1), datetime.datetime(year, 12, 31), "1d", eager=True)
    times = days.dt.strftime("%Y-%m-%d %H:%M:%S").to_list()
    found = quick("".join(f"5\t123456789\t-1\t{time}\n" for time in times).encode())
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
        f"{NUM_USERS}\t2\t3\t2013-01-01 00:00:00",
        "1\t1234567890\t3\t2013-01-01 00:00:00",
        "1\t-1\t3\t2013-01-01 00:00:00",
        "1\t2\t-10\t2013-01-01 00:00:00",
        "",
        "1",
        "1\t2\t3\t",
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_an_odd_line_is_said_to_be_odd(line, place):
    lines = ["7\t8\t9\t2013-01-01 00:00:00"] * 2
    assert quick("".join(f"{text}\n" for text in lines).encode()) is not None
    lines.insert(place, line)
    assert quick("".join(f"{text}\n" for text in lines).encode()) is None
