"""Work for processes: squares, a crash at one item, or an error."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

BAD = 30


def make_square(offset: int) -> Callable[[int], tuple[int, int]]:
    def work(item: int) -> tuple[int, int]:
        if item == BAD and offset == 13:
            os.kill(os.getpid(), signal.SIGSEGV)
        if item == BAD and offset == 14:
            raise ValueError("bad item")
        return item * item + offset, os.getpid()

    return work
