"""Which of LFM-2b's listening events take part, and the record of those that don't."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from larp_core.config import IngestConfig
from larp_core.data.readers.lfm_plays import ID
from larp_core.data.readers.rejects import Rejects
from larp_core.runtime.hashing import hash_ids, unit_interval

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
