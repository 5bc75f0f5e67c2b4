"""Turns and pauses of a source, with a clock of the test's own."""

from __future__ import annotations

import itertools
import json
import multiprocessing
from pathlib import Path

import pytest

from larp_core.runtime import pacing
from larp_core.runtime.pacing import Answer, Gate, backoff_seconds, jitter, retry_after_seconds


class Clock:
    """Stands in for the module `time`: sleeping takes no time."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= pacing.LOOK_AGAIN_SECONDS
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pacing, "time", clock)
    return clock


def refusal(seconds: float | None = None, status: str = "rate_limited") -> Answer:
    return Answer(status, detail="HTTP Error 429", retry_after_seconds=seconds)


def test_turns_keep_the_pace_over_all_gates_of_a_source(tmp_path: Path, clock: Clock) -> None:
    gates = [Gate(tmp_path / "youtube.json", seconds_between=12.0) for _ in range(3)]
    turns = []
    for number in range(30):
        gates[number % 3].wait(str(number))
        turns.append(clock.now)
    waits = [after - before for before, after in itertools.pairwise(turns)]
    assert all(6.0 <= wait <= 18.001 for wait in waits)
    assert len({round(wait, 3) for wait in waits}) > 20
    assert sum(waits) / len(waits) == pytest.approx(12.0, rel=0.25)


def test_a_refusal_pauses_all_for_the_time_it_says_and_a_restart_knows(tmp_path: Path, clock: Clock) -> None:
    Gate(tmp_path / "s.json").heard(refusal(120.0), "x")
    after_restart = Gate(tmp_path / "s.json")
    assert "s is paused until" in after_restart.notice and "HTTP Error 429" in after_restart.notice
    started = clock.now
    after_restart.wait("y")
    assert clock.now - started == pytest.approx(120.0)
    assert after_restart.notice == ""


def test_a_wait_is_capped(tmp_path: Path, clock: Clock) -> None:
    gate = Gate(tmp_path / "s.json", max_pause_seconds=600.0)
    gate.heard(refusal(1e9), "x")
    assert gate.paused_until - clock.now == 600.0


def test_a_shorter_pause_does_not_end_a_longer_one(tmp_path: Path, clock: Clock) -> None:
    gate = Gate(tmp_path / "s.json")
    gate.heard(refusal(500.0), "x")
    gate.heard(refusal(5.0), "y")
    assert gate.paused_until - clock.now == 500.0


@pytest.mark.parametrize("status", ["rate_limited", "bot_check"])
def test_pauses_without_a_time_double_until_something_comes(tmp_path: Path, clock: Clock, status: str) -> None:
    gate = Gate(tmp_path / "s.json", first_pause_seconds=100.0)
    lengths = []
    for _ in range(4):
        gate.heard(refusal(status=status), "x")
        lengths.append((gate.paused_until - clock.now) / jitter("x"))
        clock.now = gate.paused_until + 1
    assert lengths == pytest.approx([100.0, 200.0, 400.0, 800.0])
    gate.heard(Answer("ok"), "x")
    gate.heard(refusal(), "x")
    assert (gate.paused_until - clock.now) / jitter("x") == pytest.approx(100.0)


def test_refusals_of_requests_under_way_count_once(tmp_path: Path, clock: Clock) -> None:
    gate = Gate(tmp_path / "s.json", first_pause_seconds=100.0)
    for _ in range(8):
        gate.heard(refusal(), "x")
    assert json.loads((tmp_path / "s.json").read_text())["refusals"] == 1


def test_many_errors_in_a_row_pause_and_an_answer_between_them_does_not(tmp_path: Path, clock: Clock) -> None:
    gate = Gate(tmp_path / "s.json", first_pause_seconds=100.0)
    for status in (["error"] * 9 + ["not_found"]) * 3:
        gate.heard(Answer(status, detail="timed out"), "x")
    assert gate.notice == ""
    for _ in range(10):
        gate.heard(Answer("error", detail="timed out"), "x")
    assert gate.paused_until - clock.now == 100.0
    assert "10 errors in a row, the last: timed out" in gate.notice


def test_other_outcomes_pause_nothing_and_write_nothing(tmp_path: Path, clock: Clock) -> None:
    gate = Gate(tmp_path / "s.json")
    for status in ("ok", "not_found", "removed", "duration_mismatch"):
        gate.wait(status)
        gate.heard(Answer(status), "x")
    assert not (tmp_path / "s.json").exists()


def _take_turns(path: Path, count: int) -> None:
    for number in range(count):
        Gate(path, seconds_between=0.0).wait(str(number))
        Gate(path).heard(refusal(0.0), str(number))


def test_processes_at_once_leave_the_state_whole(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_take_turns, args=(tmp_path / "s.json", 30)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert 30 <= json.loads((tmp_path / "s.json").read_text())["refusals"] <= 60


def test_backoff_doubles_is_capped_and_repeats() -> None:
    limits = (10.0, 100.0)
    waits = [backoff_seconds("x", attempts, *limits) / jitter(f"x:{attempts}") for attempts in (1, 2, 3, 4, 5, 500)]
    assert waits == pytest.approx([10.0, 20.0, 40.0, 80.0, 100.0, 100.0])
    assert backoff_seconds("x", 2, *limits) == backoff_seconds("x", 2, *limits) != backoff_seconds("y", 2, *limits)
    assert all(0.5 <= jitter(str(number)) < 1.5 for number in range(1_000))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120.0), (" 5 ", 5.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", None), ("-1", None), (None, None)],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header) == seconds
