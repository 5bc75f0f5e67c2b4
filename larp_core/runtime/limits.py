"""What decoding one file may cost: bounds on time and memory that follow from the file's size, never from its header.

Decoding loops look at the clock themselves (`Deadline.check`), in any process. In a worker process (`arm`) a decoder
that hangs in native code is ended with its process, and the memory that a file may claim is bounded too (Linux).
"""

from __future__ import annotations

import contextlib
import faulthandler
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_SECONDS = 5.0
MIN_BYTES_PER_SECOND = 1 << 20
"""Slower than this nothing decodes, on a busy machine either: three hours of MP3 get some two minutes more."""

MAX_BYTES = 450 << 20
GRACE_SECONDS = 1.0

_armed = False


class TooCostly(RuntimeError):
    """A file took more time than its size explains."""


@dataclass(frozen=True)
class Deadline:
    """When the decoding of a file has to be over, by the monotonic clock."""

    at: float
    seconds: float

    def check(self) -> None:
        """Raises TooCostly when it is past."""
        if time.monotonic() > self.at:
            raise TooCostly(f"decoding took more than {self.seconds:.0f} s")


def arm() -> None:
    """From now on this process may be ended by `bounded`: for processes that do nothing but decode."""
    global _armed
    _armed = True


@contextlib.contextmanager
def bounded(path: Path) -> Iterator[Deadline]:
    """The bounds of one file, around all that is done with it.

    Raises:
        OSError: there is no such file.
        TooCostly, MemoryError: by what is done within.
    """
    seconds = MAX_SECONDS + path.stat().st_size / MIN_BYTES_PER_SECOND
    deadline = Deadline(time.monotonic() + seconds, seconds)
    if not _armed:
        yield deadline
        return
    # A thread of C's own that needs no lock of Python's: it ends the process wherever it hangs, and prints where.
    faulthandler.dump_traceback_later(seconds + GRACE_SECONDS, exit=True, file=sys.__stderr__ or 2)
    try:
        with _bounded_memory():
            yield deadline
    finally:
        faulthandler.cancel_dump_traceback_later()


@contextlib.contextmanager
def _bounded_memory() -> Iterator[None]:
    """Bounds what is claimed beyond what the process has: libraries reserve far more addresses than they use."""
    sizes = Path("/proc/self/statm")
    if not sizes.exists():
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = int(sizes.read_text().split()[0]) * resource.getpagesize() + MAX_BYTES
    if soft != resource.RLIM_INFINITY:
        bound = min(bound, soft)
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
