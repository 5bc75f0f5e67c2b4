"""How far a long step is: a bar where a person watches a terminal, and a line in the log now and then.

The lines go to the run's log in the web UI, and to the terminal or file that standard error is. There a bar would leave
hundreds of lines, so that it shows on a terminal alone. Who prints the lines puts the step's name before them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from tqdm import tqdm

LOG_EVERY_SECONDS = 30.0

logger = logging.getLogger(__name__)


class Progress:
    """Counts what is done of `total`. The rate is of this run alone; the estimate follows from it.

    Args:
        step: as the bar names it, `mpd/clips`.
        part: of the step, where it has several; named by the bar and by the lines.
    """

    def __init__(self, total: int, unit: str, step: str = "", part: str = "") -> None:
        self.total = total
        self.units = unit if unit.isupper() else f"{unit}s"
        self.part = part
        self.done = 0
        self._found = 0
        self._bar = bar(total, unit, ": ".join(name for name in (step, part) if name))
        self._started_at = self._told_at = time.monotonic()

    def found(self, count: int) -> None:
        """So many more were done before this run."""
        self._found += count
        self.add(count)

    def add(self, count: int = 1) -> None:
        """So many more are done."""
        self.update(self.done + count)

    def update(self, done: int) -> None:
        """`done` of `total` are done now."""
        self._bar.update(done - self.done)
        self.done = done
        if time.monotonic() - self._told_at >= LOG_EVERY_SECONDS:
            self._told_at = time.monotonic()
            with tqdm.external_write_mode():  # the bar makes way for the line
                logger.info("%s", str(self))

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def __str__(self) -> str:
        seconds = max(time.monotonic() - self._started_at, 1e-9)
        line = f"{self.part}: " * bool(self.part) + f"{self.done:,} of {self.total:,} {self.units}"
        if self.done <= self._found:
            return line
        rate = (self.done - self._found) / seconds
        left = timedelta(seconds=round((self.total - self.done) / rate))
        pace = f"{rate:.1f} a second" if rate >= 1 else f"{rate * 3600:.0f} an hour"
        return f"{line}, {pace}, some {left} left"


def bar(total: int, unit: str, name: str, *, is_wanted: bool = True, **options: Any) -> Any:
    """tqdm's, on a terminal alone."""
    return tqdm(desc=name, total=total, unit=unit, disable=None if is_wanted else True, **options)


def progressing(items: Iterable[Any], total: int, unit: str, step: str = "", part: str = "") -> Iterator[Any]:
    """The items, counted as they are taken."""
    with Progress(total, unit, step, part) as progress:
        for item in items:
            yield item
            progress.add()
