"""How far a long step is: a bar on a terminal, and a line in the log now and then, which the web UI shows."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from tqdm import tqdm

LOG_EVERY_SECONDS = 30.0

log = logging.getLogger(__name__)


class Progress:
    """Counts what is done of `total`. The rate is of this run alone; the estimate follows from it."""

    def __init__(self, name: str, total: int, unit: str) -> None:
        self.name = name
        self.total = total
        self.unit = unit
        self.done = 0
        self._bar: Any = tqdm(desc=name, total=total, unit=unit, disable=None)
        self._started_at = self._told_at = time.monotonic()

    def update(self, done: int) -> None:
        """`done` of `total` are done now."""
        self._bar.update(done - self.done)
        self.done = done
        if time.monotonic() - self._told_at >= LOG_EVERY_SECONDS:
            self._told_at = time.monotonic()
            log.info("%s", str(self))

    def close(self) -> None:
        self._bar.close()

    def __str__(self) -> str:
        seconds = max(time.monotonic() - self._started_at, 1e-9)
        line = f"{self.name}: {self.done:,} of {self.total:,} {self.unit}s"
        if not self.done:
            return line
        rate = self.done / seconds
        left = timedelta(seconds=round((self.total - self.done) / rate))
        pace = f"{rate:.1f} a second" if rate >= 1 else f"{rate * 3600:.0f} an hour"
        return f"{line}, {pace}, some {left} left"


def progressing(items: Iterable[Any], name: str, total: int, unit: str) -> Iterator[Any]:
    """The items, counted as they are taken."""
    progress = Progress(name, total, unit)
    try:
        for done, item in enumerate(items, 1):
            yield item
            progress.update(done)
    finally:
        progress.close()
