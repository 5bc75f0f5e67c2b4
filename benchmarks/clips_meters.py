"""What `clips.py` measures with: a clock of the processors too, and memory that is not a file's."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

SAMPLE_SECONDS = 0.05


class Clock:
    """Seconds, and the processors' time of this process and the children that it has waited for."""

    def __init__(self) -> None:
        self._started = (time.perf_counter(), self._processors())

    def stop(self) -> dict[str, float]:
        seconds, cpu_seconds = self._started
        return {"seconds": time.perf_counter() - seconds, "cpu_seconds": self._processors() - cpu_seconds}

    @staticmethod
    def _processors() -> float:
        times = os.times()
        return times.user + times.system + times.children_user + times.children_system


class Memory:
    """The most memory of this process and its children that is not a file's: mapped arrays are the page cache's."""

    def __init__(self) -> None:
        self._peak = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """MiB."""
        self._ended.set()
        self._thread.join()
        return self._peak

    def _watch(self) -> None:
        own = str(os.getpid())
        while not self._ended.wait(SAMPLE_SECONDS):
            children = Path(f"/proc/self/task/{own}/children").read_text().split()
            # A child that is just being started still has its parent's memory, which would be counted twice.
            started = [pid for pid in children if _command(pid) != _command(own)]
            self._peak = max(self._peak, sum(anonymous_mib(pid) for pid in (own, *started)))


def _command(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has just ended
        return b""


def anonymous_mib(pid: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has just ended
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024
