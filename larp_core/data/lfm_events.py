"""LFM-2b's listening events: each chosen user's first play of each track, streamed from a file of any length."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from larp_core.config import IngestConfig
from larp_core.data.chunk import Schema
from larp_core.data.hashing import hash_ids, unit_interval
from larp_core.data.parts import Reading
from larp_core.data.rejects import Rejects
from larp_core.data.tsv import CHUNK_BYTES, Column, Shortcut, on_all_cores, stream_tsv
from larp_core.errors import UserError

ID = pl.UInt32
"""LFM-2b counts its users, tracks and albums from 0; a missing album is -1, which reads as null."""
EVENT_COLUMNS = (
    Column("user_id", ID, ("uid", "user")),
    Column("track_id", ID, ("tid",)),
    Column("album_id", ID, ("aid",), required=False),
    Column("timestamp", pl.String, ("time", "played_at")),
)
PLAYS_SCHEMA: Schema = {"user_id": ID, "track_id": ID, "album_id": ID, "played_at": pl.Datetime("us"), "row": pl.Int64}

UNREADABLE_ID = "event whose user or track is no number"
UNREADABLE_TIME = "event whose time can't be read"
NOT_CHOSEN = "event of a user outside the recipe's ingest.lfm_user_fraction"
TOO_EARLY = "event before the recipe's ingest.lfm_since"
REPEATED = "repeated play of a track by a user (first kept)"

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
TIME_LENGTH = 19
LAST_SECOND = 253_402_300_799
"""9999-12-31 23:59:59, the last time that the format can write."""
SHORTCUT_FROM_BYTES = 64 << 20
"""Of the file on disk. Below, compiling takes longer than it gains."""
GROUP_ROWS = 500_000
MERGE_ROWS = 4_000_000
INDEX_BITS = 25
"""Fewer than 2 ** 25 events are grouped at a time, and a time in seconds fits the 38 bits that are left."""


def read_plays(path: Path, config: IngestConfig) -> Reading:
    """Frames `plays` (`PLAYS_SCHEMA`, by row) and `rejects` of one events file.

    A play is the earliest event of its user and track in this file; of equal times the one that stands first. `row`
    counts the events from 0, so it stands in line `row + 2`. Memory grows with the plays, not with the events.

    Raises:
        UserError: the file can't be read at all or lacks a column; `ingest.lfm_since` is not a date.
    """
    return on_all_cores(lambda num_cores: _read_plays(path, config, num_cores))


def _read_plays(path: Path, config: IngestConfig, num_cores: int) -> Reading:
    rejects, damage, users, plays = Rejects(), Rejects(), Users(config), FirstPlays()
    sieve, since, num_rows = Sieve(path.name, rejects), _since(config), 0
    for frame in stream_tsv(path, EVENT_COLUMNS, damage, CHUNK_BYTES, _shortcut(path), num_cores):
        events = frame.with_columns(row=pl.int_range(num_rows, num_rows + frame.height))
        num_rows += frame.height
        events = sieve.keep(events, pl.col("user_id").is_not_null() & pl.col("track_id").is_not_null(), UNREADABLE_ID)
        if config.lfm_user_fraction < 1:
            events = sieve.keep(events, pl.col("user_id").is_in(users.chosen(events["user_id"])), NOT_CHOSEN)
        if "timestamp" in events.columns:
            events = events.with_columns(seconds=parse_seconds(events["timestamp"]))
        events = events.select("user_id", "track_id", "album_id", "seconds", "row")
        events = sieve.keep(events, pl.col("seconds").is_not_null(), UNREADABLE_TIME)
        if since is not None:
            events = sieve.keep(events, pl.col("seconds") >= since, TOO_EARLY)
        plays.add(events)
    kept = plays.frame()  # which groups what is still pending, and so finds the last repeats
    rejects.add(path.name, REPEATED, plays.num_repeated, f"line {plays.first_repeated_row + 2}")
    rejects.extend([damage.frame()])
    return Reading({"plays": kept, "rejects": rejects.frame()}, num_rows + damage.num_rows(), kept.height)


@dataclass(frozen=True)
class Sieve:
    """Drops events of one file and records them."""

    file: str
    rejects: Rejects

    def keep(self, events: pl.DataFrame, good: pl.Expr, reason: str) -> pl.DataFrame:
        mask = events.select(good.alias("good")).to_series()
        if mask.all():
            return events
        first = events["row"].filter(~mask)[0]
        self.rejects.add(self.file, reason, int((~mask).sum()), f"line {first + 2}")
        return events.filter(mask)


class Users:
    """Which users take part: a function of the id, so that later events move nobody in or out."""

    def __init__(self, config: IngestConfig) -> None:
        self._config = config
        self._known: dict[int, bool] = {}

    def chosen(self, user_ids: pl.Series) -> pl.Series:
        """The different ids among `user_ids` that take part. A file lists a user's events together: these are few."""
        ids = user_ids.unique().to_list()
        new = [user for user in ids if user not in self._known]
        shares = unit_interval(hash_ids(map(str, new), self._config.seed, "lfm user"))
        self._known.update(zip(new, (shares < self._config.lfm_user_fraction).tolist(), strict=True))
        return pl.Series([user for user in ids if self._known[user]], dtype=ID)


@dataclass
class FirstPlays:
    """The first play of each pair of user and track among the events added so far.

    Attributes:
        num_repeated, first_repeated_row: events that were not kept, and the first of them in the file.
    """

    num_repeated: int = 0
    first_repeated_row: int = 2**62
    _blocks: list[pl.DataFrame] = field(default_factory=list)
    _num_in_blocks: int = 0
    _parts: list[pl.DataFrame] = field(default_factory=list)
    _num_in_parts: int = 0
    _num_merged: int = 0

    def add(self, events: pl.DataFrame) -> None:
        """Adds a block: `user_id, track_id, album_id, seconds, row`, in the order of the file."""
        self._blocks.append(events)
        self._num_in_blocks += events.height
        if self._num_in_blocks > GROUP_ROWS:
            self._group()
        if self._num_in_parts > max(MERGE_ROWS, self._num_merged):
            self._merge()

    def frame(self) -> pl.DataFrame:
        """`PLAYS_SCHEMA`, by row."""
        if self._blocks:
            self._group()
        if not self._parts:
            return pl.DataFrame(schema=PLAYS_SCHEMA)
        self._merge()
        return (
            self._parts[0]
            .sort("row")
            .select(
                (pl.col("pair") // 2**32).cast(ID).alias("user_id"),
                (pl.col("pair") % 2**32).cast(ID).alias("track_id"),
                "album_id",
                pl.from_epoch("seconds", "s").cast(pl.Datetime("us")).alias("played_at"),
                pl.col("row").cast(pl.Int64),
            )
        )

    def _group(self) -> None:
        # One integer for the pair, one for time and place: half the cost of grouping and sorting by two columns each.
        events = pl.concat(self._blocks)
        pair = pl.col("user_id").cast(pl.UInt64) * 2**32 + pl.col("track_id")
        packed = pl.col("seconds") * 2**INDEX_BITS + pl.int_range(pl.len())
        winners = events.select(pair=pair, packed=packed).group_by("pair").agg(pl.col("packed").min())
        first = winners.select("pair", index=(pl.col("packed") % 2**INDEX_BITS).cast(pl.UInt32)).sort("index")
        part = events[first["index"]].select("row", "album_id", "seconds").with_columns(first["pair"])
        if part.height < events.height:
            repeated = np.ones(events.height, dtype=bool)
            repeated[first["index"].to_numpy()] = False
            self._repeat(events.height - part.height, events["row"][int(repeated.argmax())])
        self._parts.append(part)
        self._num_in_parts += part.height
        self._blocks, self._num_in_blocks = [], 0

    def _merge(self) -> None:
        plays = pl.concat(self._parts).sort("pair", "seconds", "row")
        is_first = plays.select(pl.col("pair").ne_missing(pl.col("pair").shift(1))).to_series()
        repeated = plays["row"].filter(~is_first).to_numpy()
        if len(repeated):
            self._repeat(len(repeated), int(repeated.min()))
        self._parts = [plays.filter(is_first)]
        self._num_merged, self._num_in_parts = self._parts[0].height, 0

    def _repeat(self, num: int, first_row: int) -> None:
        self.num_repeated += num
        self.first_repeated_row = min(self.first_repeated_row, first_row)


def parse_seconds(text: pl.Series) -> pl.Series:
    """`2013-11-23 14:22:38`, or seconds since 1970, as seconds since 1970; else null, as for times before 1970."""
    written = pl.when(text.str.len_bytes() == TIME_LENGTH).then(text)
    milliseconds = written.str.to_datetime(TIME_FORMAT, strict=False, time_unit="ms", cache=False)
    seconds = pl.select(milliseconds.to_physical() // 1000).to_series()
    if seconds.null_count():
        seconds = pl.select(pl.coalesce(seconds, text.cast(pl.Int64, strict=False))).to_series()
    good = seconds.is_between(0, LAST_SECOND)
    return seconds if good.all(ignore_nulls=False) else pl.select(pl.when(good).then(seconds)).to_series()


def _shortcut(path: Path) -> Shortcut | None:
    """The reader of sound lines, where a file is so long that it pays."""
    if not path.exists() or path.stat().st_size < SHORTCUT_FROM_BYTES:
        return None
    from larp_core.data import lfm_lines  # not above: that would cost every other process a second

    return Shortcut(lfm_lines.HEADER, lfm_lines.read_lines)


def _since(config: IngestConfig) -> int | None:
    if config.lfm_since is None:
        return None
    try:
        day = datetime.date.fromisoformat(config.lfm_since)
    except ValueError:
        raise UserError(f"recipe: ingest.lfm_since '{config.lfm_since}' is not a date; write it 2020-01-31") from None
    return int(datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC).timestamp())
