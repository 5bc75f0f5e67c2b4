"""LFM-2b's listening events: each chosen user's first play of each track, streamed from a file of any length."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from larp_core.config import IngestConfig
from larp_core.data.readers.lfm_plays import (
    ID,
    NOT_CHOSEN,
    REPEATED,
    TOO_EARLY,
    UNREADABLE_ID,
    UNREADABLE_TIME,
    FirstPlays,
    Sieve,
    Users,
)
from larp_core.data.readers.parts import Reading
from larp_core.data.readers.rejects import Rejects
from larp_core.data.readers.tsv import CHUNK_BYTES, Column, on_all_cores, stream_tsv

if TYPE_CHECKING:
    from larp_core.data.readers.lfm_quick import QuickPlays

EVENT_COLUMNS = (
    Column("user_id", ID, ("uid", "user")),
    Column("track_id", ID, ("tid",)),
    Column("album_id", ID, ("aid",), required=False),
    Column("timestamp", pl.String, ("time", "played_at")),
)

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
TIME_LENGTH = 19
LAST_SECOND = 253_402_300_799
"""9999-12-31 23:59:59, the last time that the format can write."""
SHORTCUT_FROM_BYTES = 64 << 20
"""Of the file on disk. Below, compiling takes longer than it gains."""


def read_plays(path: Path, config: IngestConfig) -> Reading:
    """Frames `plays` (`PLAYS_SCHEMA`, by row) and `rejects` of one events file.

    A play is the earliest event of its user and track in this file; of equal times the one that stands first. `row`
    counts the events from 0, so it stands in line `row + 2`. Memory grows with the plays, not with the events.

    Raises:
        UserError: the file can't be read at all or lacks a column.
    """
    return on_all_cores(lambda num_cores: _read_plays(path, config, num_cores))


def _read_plays(path: Path, config: IngestConfig, num_cores: int) -> Reading:
    rejects, damage, users, plays = Rejects(), Rejects(), Users(config), FirstPlays()
    sieve, since, num_rows = Sieve(path.name, rejects), _since(config), 0
    quick = _quick(path, plays, sieve, users, since)
    for first_row, frame in stream_tsv(path, EVENT_COLUMNS, damage, CHUNK_BYTES, quick, num_cores):
        num_rows += frame.height
        events = frame.with_columns(row=pl.int_range(first_row, first_row + frame.height))
        events = sieve.keep(events, pl.col("user_id").is_not_null() & pl.col("track_id").is_not_null(), UNREADABLE_ID)
        if config.lfm_user_fraction < 1:
            events = sieve.keep(events, pl.col("user_id").is_in(users.chosen(events["user_id"])), NOT_CHOSEN)
        events = events.with_columns(seconds=parse_seconds(events["timestamp"]))
        events = sieve.keep(events, pl.col("seconds").is_not_null(), UNREADABLE_TIME)
        if since is not None:
            events = sieve.keep(events, pl.col("seconds") >= since, TOO_EARLY)
        plays.add(events.select("user_id", "track_id", "album_id", "seconds", "row"))
    if quick:
        quick.close()
        num_rows += quick.num_rows
    kept = plays.frame()  # which groups what is still pending, and so finds the last repeats
    sieve.drop(REPEATED, plays.num_repeated, plays.first_repeated_row)
    rejects.extend([damage.frame()])
    return Reading({"plays": kept, "rejects": rejects.frame()}, num_rows + damage.num_rows(), kept.height)


def parse_seconds(text: pl.Series) -> pl.Series:
    """`2013-11-23 14:22:38`, or seconds since 1970, as seconds since 1970; else null, as for times before 1970."""
    written = pl.when(text.str.len_bytes() == TIME_LENGTH).then(text)
    milliseconds = written.str.to_datetime(TIME_FORMAT, strict=False, time_unit="ms", cache=False)
    seconds = pl.select(milliseconds.to_physical() // 1000).to_series()
    if seconds.null_count():
        seconds = pl.select(pl.coalesce(seconds, text.cast(pl.Int64, strict=False))).to_series()
    good = seconds.is_between(0, LAST_SECOND)
    return seconds if good.all(ignore_nulls=False) else pl.select(pl.when(good).then(seconds)).to_series()


def _quick(path: Path, plays: FirstPlays, sieve: Sieve, users: Users, since: int | None) -> QuickPlays | None:
    """The reader of sound lines, where a file is so long that it pays."""
    if not path.exists() or path.stat().st_size < SHORTCUT_FROM_BYTES:
        return None
    from larp_core.data.readers.lfm_quick import QuickPlays  # not above: that would cost every other process a second

    return QuickPlays(plays, sieve, users.is_chosen, since)


def _since(config: IngestConfig) -> int | None:
    if config.lfm_since is None:
        return None
    day = datetime.date.fromisoformat(config.lfm_since)
    return int(datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC).timestamp())
