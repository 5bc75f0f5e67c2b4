"""Processes: every item gets a result, whatever becomes of its process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import python_path
from square_work import BAD, make_square

from larp_core.runtime.workers import ITEMS_PER_PROCESS, Crashed, map_in_processes, num_cores


def test_all_items_are_worked_on_by_more_than_one_process() -> None:
    results = dict(map_in_processes(make_square, (1,), list(range(200))))
    assert {item: value for item, (value, _) in results.items()} == {item: item * item + 1 for item in range(200)}
    assert os.getpid() not in {pid for _, pid in results.values()}


def test_few_items_start_no_process() -> None:
    assert list(map_in_processes(make_square, (1,), [2, 3])) == [(2, (5, os.getpid())), (3, (10, os.getpid()))]
    assert list(map_in_processes(make_square, (1,), [])) == []


def test_a_generator_is_asked_for_no_more_than_is_handed_out_soon() -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for item in range(2_000):
            asked.append(item)
            yield item

    results = map_in_processes(make_square, (1,), items())
    done = {next(results)[0]}
    assert len(asked) <= num_cores() * (ITEMS_PER_PROCESS + 1) + 1
    done |= {item for item, _ in results}
    assert done == set(range(2_000)) and asked == list(range(2_000))


def test_a_crash_costs_one_item() -> None:
    results = dict(map_in_processes(make_square, (13,), list(range(100))))
    assert isinstance(results.pop(BAD), Crashed)
    assert sorted(results) == [item for item in range(100) if item != BAD]
    assert all(value == item * item + 13 for item, (value, _) in results.items())


def test_a_mistake_in_the_work_is_raised() -> None:
    with pytest.raises(ValueError, match="bad item"):
        list(map_in_processes(make_square, (14,), list(range(100))))


def test_processes_that_cannot_start_are_a_clear_error(tmp_path: Path) -> None:
    """A script without a main guard: each process imports it, and would start processes of its own."""
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from square_work import make_square\n"
        "from larp_core.runtime.workers import map_in_processes\n"
        "list(map_in_processes(make_square, (1,), list(range(100))))\n"
    )
    environment = {**os.environ, "PYTHONPATH": python_path("runtime")}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "worker processes can't start" in done.stderr.splitlines()[-1]


def test_processes_end_with_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, signal\n"
        "from square_work import make_square\n"
        "from larp_core.runtime.workers import map_in_processes\n"
        "if __name__ == '__main__':\n"
        "    results = map_in_processes(make_square, (1,), list(range(100)))\n"
        "    print(next(results)[1][1], flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = os.environ | {"PYTHONPATH": python_path("runtime")}
    command = [sys.executable, str(script)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout
        worker = int(parent.stdout.readline())
        parent.wait(timeout=30)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
