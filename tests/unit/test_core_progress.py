"""Progress tells how far a step is, how fast, and for how long yet."""

from __future__ import annotations

import logging

import pytest

from larp_core import progress
from larp_core.progress import Progress, progressing


class Clock:
    """Stands in for the module `time`."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_a_line_goes_to_the_log_now_and_then(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for _ in progressing(range(1_000), "lfm/mp3", 1_000, "track"):
        clock.now += 0.25
    assert len(caplog.messages) == 8  # 250 s, a line each 30
    assert caplog.messages[0] == "lfm/mp3: 120 of 1,000 tracks, 4.0 a second, some 0:03:40 left"


def test_slow_work_is_told_by_the_hour(clock: Clock) -> None:
    slow = Progress("mpd/mp3", 100_000, "track")
    assert str(slow) == "mpd/mp3: 0 of 100,000 tracks"
    clock.now = 3_600.0
    slow.update(300)
    assert str(slow) == "mpd/mp3: 300 of 100,000 tracks, 300 an hour, some 13 days, 20:20:00 left"


def test_items_come_as_they_are_and_an_error_ends_the_count(clock: Clock) -> None:
    assert list(progressing("abc", "x", 3, "letter")) == ["a", "b", "c"]
    with pytest.raises(ZeroDivisionError):
        list(progressing((1 / number for number in (1, 0)), "x", 2, "number"))
