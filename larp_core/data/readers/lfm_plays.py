"""Plays of LFM-2b: which listening events take part, and each pair of user and track at its earliest event, in memory
that grows with the pairs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from larp_core.config import IngestConfig
from larp_core.data.readers.chunk import Schema
from larp_core.data.readers.rejects import Rejects
from larp_core.runtime.hashing import hash_ids, unit_interval

ID = pl.UInt32
"""LFM-2b counts its users, tracks and albums from 0; a missing album is -1, which reads as null."""
PLAYS_SCHEMA: Schema = {"user_id": ID, "track_id": ID, "album_id": ID, "played_at": pl.Datetime("us"), "row": pl.Int64}
PART_SCHEMA: Schema = {"pair": pl.UInt64, "album_id": ID, "seconds": pl.Int64, "row": pl.Int64}
"""`pair` is the user times 2 ** 32 plus the track: grouping and sorting by one integer is half the cost of by two."""

GROUP_ROWS = 500_000
MERGE_ROWS = 4_000_000
INDEX_BITS = 25
"""Fewer than 2 ** 25 events are grouped at a time, and a time in seconds fits the 38 bits that are left."""

UNREADABLE_ID = "event whose user or track is no number"
UNREADABLE_TIME = "event whose time can't be read"
NOT_CHOSEN = "event of a user outside the recipe's ingest.lfm_user_fraction"
TOO_EARLY = "event before the recipe's ingest.lfm_since"
REPEATED = "repeated play of a track by a user (first kept)"


@dataclass(frozen=True)
class Sieve:
    """Drops events of one file and records them."""

    file: str
    rejects: Rejects

    def keep(self, events: pl.DataFrame, good: pl.Expr, reason: str) -> pl.DataFrame:
        mask = events.select(good.alias("good")).to_series()
        if mask.all():
            return events
        self.drop(reason, int((~mask).sum()), events["row"].filter(~mask)[0])
        return events.filter(mask)

    def drop(self, reason: str, num: int, first_row: int) -> None:
        """Records `num` events, the first of them at `first_row`. Of one reason, earlier rows come first."""
        self.rejects.add(self.file, reason, num, f"line {first_row + 2}")


class Users:
    """Which users take part: a function of the id, so that later events move nobody in or out."""

    def __init__(self, config: IngestConfig) -> None:
        self._config = config
        self._known: dict[int, bool] = {}

    def chosen(self, user_ids: pl.Series) -> pl.Series:
        """The different ids among `user_ids` that take part. A file lists a user's events together: these are few."""
        ids = user_ids.unique().to_list()
        new = [user for user in ids if user not in self._known]
        self._known.update(zip(new, self._are_chosen(new), strict=True))
        return pl.Series([user for user in ids if self._known[user]], dtype=ID)

    def is_chosen(self, user_id: int) -> bool:
        """Whether one user takes part; the answer is not kept."""
        return self._are_chosen([user_id])[0]

    def _are_chosen(self, user_ids: list[int]) -> list[bool]:
        shares = unit_interval(hash_ids(map(str, user_ids), self._config.seed, "lfm user"))
        return (shares < self._config.lfm_user_fraction).tolist()


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

    def add_part(self, part: pl.DataFrame) -> None:
        """Adds first plays among some of the events (`PART_SCHEMA`, a row a pair, in any order)."""
        self._parts.append(part.select(list(PART_SCHEMA)))
        self._num_in_parts += part.height
        if self._num_in_parts > max(MERGE_ROWS, self._num_merged):
            self._merge()

    def repeat(self, num: int, first_row: int) -> None:
        """Counts events that were left out of what was added, since the same pair has an earlier one in it."""
        self.num_repeated += num
        self.first_repeated_row = min(self.first_repeated_row, first_row)

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
                "row",
            )
        )

    def _group(self) -> None:
        # One integer for the pair, one for time and place, for the same reason.
        events = pl.concat(self._blocks)
        pair = pl.col("user_id").cast(pl.UInt64) * 2**32 + pl.col("track_id")
        packed = pl.col("seconds") * 2**INDEX_BITS + pl.int_range(pl.len())
        winners = events.select(pair=pair, packed=packed).group_by("pair").agg(pl.col("packed").min())
        first = winners.select("pair", index=(pl.col("packed") % 2**INDEX_BITS).cast(pl.UInt32)).sort("index")
        part = events[first["index"]].select("row", "album_id", "seconds").with_columns(first["pair"])
        if part.height < events.height:
            repeated = np.ones(events.height, dtype=bool)
            repeated[first["index"].to_numpy()] = False
            self.repeat(events.height - part.height, events["row"][int(repeated.argmax())])
        self._blocks, self._num_in_blocks = [], 0
        self.add_part(part)

    def _merge(self) -> None:
        plays = pl.concat(self._parts).sort("pair", "seconds", "row")
        is_first = plays.select(pl.col("pair").ne_missing(pl.col("pair").shift(1))).to_series()
        repeated = plays["row"].filter(~is_first).to_numpy()
        if len(repeated):
            self.repeat(len(repeated), int(repeated.min()))
        self._parts = [plays.filter(is_first)]
        self._num_merged, self._num_in_parts = self._parts[0].height, 0
