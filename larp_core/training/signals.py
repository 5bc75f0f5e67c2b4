"""SIGINT and SIGTERM while training: noted, so that the loop can finish its step, save and go."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

WATCHED = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Stop:
    """`signal` is the one received, 0 while there is none."""

    signal: int = 0


@contextlib.contextmanager
def noted_signals() -> Iterator[Stop]:
    """The first signal is noted; a second one does what it always does. Does nothing outside the main thread."""
    stop = Stop()
    previous: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        stop.signal = number
        give_back()

    def give_back() -> None:
        for watched, handler in previous.items():
            signal.signal(watched, handler)

    if threading.current_thread() is threading.main_thread():
        previous = {watched: signal.signal(watched, note) for watched in WATCHED}
    try:
        yield stop
    finally:
        give_back()
