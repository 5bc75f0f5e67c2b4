"""Progress tells how far a step is, how fast, and for how long yet."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import termios

import pytest
from places import ROOT

from larp_core.runtime import progress
from larp_core.runtime.progress import Progress, progressing


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
    for _ in progressing(range(1_000), 1_000, "track", "lfm/mp3"):
        clock.now += 0.25
    assert len(caplog.messages) == 8  # 250 s, a line each 30
    assert caplog.messages[0] == "120 of 1,000 tracks, 4.0 a second, some 0:03:40 left"


def test_slow_work_is_told_by_the_hour(clock: Clock) -> None:
    slow = Progress(100_000, "track", "mpd/mp3", "listening")
    assert str(slow) == "listening: 0 of 100,000 tracks"
    clock.now = 3_600.0
    slow.update(300)
    assert str(slow) == "listening: 300 of 100,000 tracks, 300 an hour, some 13 days, 20:20:00 left"


def test_what_an_earlier_run_did_counts_and_is_not_this_runs_pace(clock: Clock) -> None:
    with Progress(1_000, "MB") as progress:
        progress.found(900)
        assert str(progress) == "900 of 1,000 MB"
        clock.now = 10.0
        progress.add(20)
        assert str(progress) == "920 of 1,000 MB, 2.0 a second, some 0:00:40 left"


STEP = """
import logging, sys
from larp_core.runtime import progress
logging.basicConfig(format="%(message)s", level=logging.INFO)
progress.LOG_EVERY_SECONDS = 0.0
for _ in progress.progressing(range(3), 3, "track", "mpd/mp3"):
    pass
"""


def test_a_file_gets_lines_and_a_terminal_a_bar_too() -> None:
    done = subprocess.run([sys.executable, "-c", STEP], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "\r" not in done.stderr
    assert [line.split(",")[0] for line in done.stderr.splitlines()] == [f"{count} of 3 tracks" for count in (1, 2, 3)]
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    subprocess.run([sys.executable, "-c", STEP], stderr=theirs, check=True, cwd=ROOT)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "\rmpd/mp3: 100%" in shown and "3/3" in shown
    lines = [line.rpartition("\r")[2] for line in shown.split("\r\n")]  # what was left of the bar before it, wiped out
    assert [line.split(",")[0] for line in lines[:3]] == [f"{count} of 3 tracks" for count in (1, 2, 3)]


def test_items_come_as_they_are_and_an_error_ends_the_count(clock: Clock) -> None:
    assert list(progressing("abc", 3, "letter")) == ["a", "b", "c"]
    with pytest.raises(ZeroDivisionError):
        list(progressing((1 / number for number in (1, 0)), 2, "number"))
