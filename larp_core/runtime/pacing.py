"""Pace and pauses of a source, shared by all processes and datasets, and kept on disk so that a restart knows them.

A refusal (HTTP 429, a bot check) pauses the whole source: for as long as its Retry-After says, else for a time that
doubles from one refusal to the next. So do many errors in a row: a network that is down would cost each track all its
attempts. Tracks that wait cost no request.
"""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock

from larp_core.runtime.files import read_json, write_json

REFUSALS = ("rate_limited", "bot_check")
"""Statuses that say nothing of what was asked for, but that the source wants to be left alone."""

MAX_ERRORS_IN_A_ROW = 10
LOOK_AGAIN_SECONDS = 5.0
MAX_DOUBLINGS = 16


def jitter(key: str) -> float:
    """A number between 0.5 and 1.5 that is always the same for a key, so that waits do not fall together."""
    return 0.5 + int.from_bytes(hashlib.sha256(key.encode("utf-8", "replace")).digest()[:4]) / 2**32


def backoff_seconds(key: str, attempts: int, first_seconds: float, max_seconds: float) -> float:
    """How long to leave a track alone after so many attempts: doubled each time, capped, and jittered."""
    doubled = first_seconds * 2 ** min(max(attempts - 1, 0), MAX_DOUBLINGS)
    return min(doubled, max_seconds) * jitter(f"{key}:{attempts}")


def retry_after_seconds(header: str | None) -> float | None:
    """Seconds of a Retry-After header, a number or a date (RFC 9110, section 10.2.3); None where it is neither."""
    text = (header or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (TypeError, ValueError, OverflowError):
        return None


@dataclass(frozen=True)
class Answer:
    """What came of a request, as far as the pace goes by it.

    Attributes:
        status: `ok`, `error`, one of `REFUSALS`, or anything else that the source says of what was asked for.
        detail: the reason, for the log.
        retry_after_seconds: how long a source that refuses asks to be left alone, where it says so.
    """

    status: str
    detail: str = ""
    retry_after_seconds: float | None = None


@dataclass
class _State:
    """Epoch seconds; `refusals` and `errors` count those in a row."""

    paused_until: float = 0.0
    next_turn_at: float = 0.0
    refusals: int = 0
    errors: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Gate:
    """Where the requests to one source queue.

    Attributes:
        path: the file that the state is kept in.
        seconds_between: from one track to the next, over all processes; jittered by half.
        first_pause_seconds: after a refusal that gives no time.
        max_pause_seconds: longer times, asked for or not, are cut to this.
    """

    path: Path
    seconds_between: float = 0.0
    first_pause_seconds: float = 60.0
    max_pause_seconds: float = 6 * 3600.0

    def wait(self, key: str) -> None:
        """Returns when it is this caller's turn."""
        while (seconds := self._take_turn(key)) > 0:
            time.sleep(min(seconds, LOOK_AGAIN_SECONDS))

    def heard(self, answer: Answer, key: str) -> None:
        """Pauses the source where it refuses or fails; an answer makes the next refusal the first again."""
        if answer.status in REFUSALS:
            self._pause(answer, key)
        elif answer.status == "error":
            with self._locked() as state:
                state.errors += 1
            if state.errors % MAX_ERRORS_IN_A_ROW == 0:
                reason = f"{state.errors} errors in a row, the last: {answer.detail}"
                self._pause(Answer("error", reason, retry_after_seconds=self.first_pause_seconds), key)
        elif self._read().errors or (answer.status == "ok" and self._read().refusals):
            with self._locked() as state:
                state.errors = 0
                state.refusals = 0 if answer.status == "ok" else state.refusals

    def _pause(self, answer: Answer, key: str) -> None:
        with self._locked() as state:
            doubled = self.first_pause_seconds * 2 ** min(state.refusals, MAX_DOUBLINGS) * jitter(key)
            seconds = doubled if answer.retry_after_seconds is None else answer.retry_after_seconds
            until = time.time() + min(max(seconds, 0.0), self.max_pause_seconds)
            if state.paused_until <= time.time() and answer.status in REFUSALS:
                state.refusals += 1  # those of requests that were under way count once
            state.paused_until = max(state.paused_until, until)
            state.reason = answer.detail

    @property
    def paused_until(self) -> float:
        """Epoch seconds; in the past where the source is not paused."""
        return self._read().paused_until

    @property
    def notice(self) -> str:
        """For the log: until when the source is paused, and why; empty where it is not."""
        state = self._read()
        if state.paused_until <= time.time():
            return ""
        until = datetime.fromtimestamp(state.paused_until).strftime("%Y-%m-%d %H:%M:%S")
        return f"{self.path.stem} is paused until {until}: {state.reason}; nothing is lost, it goes on by itself"

    def _take_turn(self, key: str) -> float:
        """Seconds still to wait; 0 where the turn has been taken."""
        seconds = self._read().paused_until - time.time()
        if seconds > 0 or not self.seconds_between:
            return seconds
        with self._locked() as state:
            now = time.time()
            seconds = max(state.paused_until, state.next_turn_at) - now
            if seconds <= 0:
                state.next_turn_at = now + self.seconds_between * jitter(f"{key}:{now}")
        return seconds

    def _read(self) -> _State:
        return _State(**read_json(self.path)) if self.path.exists() else _State()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[_State]:
        """The state, written back where it was changed. The system frees the lock of a process that dies."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_suffix(".lock")):
            state = self._read()
            before = asdict(state)
            yield state
            if asdict(state) != before:
                write_json(asdict(state), self.path)
