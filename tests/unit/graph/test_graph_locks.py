"""Two processes on one step of one data folder: the second waits, says for whom, and reuses."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from places import python_path
from slow_step import slow_job

from larp_core.graph import memo


def start(data_dir: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, str(Path(__file__).with_name("slow_step.py")), str(data_dir), str(seconds)]
    environment = os.environ | {"PYTHONPATH": python_path("graph")}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_until_begun(data_dir: Path) -> None:
    deadline = time.monotonic() + 60
    while not (data_dir / "mpd" / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_second_waits_says_for_whom_and_reuses(tmp_path: Path) -> None:
    first = start(tmp_path, 15.0)
    wait_until_begun(tmp_path)
    second = start(tmp_path, 15.0)
    printed = [process.communicate(timeout=120) for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0], printed
    assert [out.strip() for out, _ in printed] == ["worked", "reused"]
    holder = f"waiting for mpd/slow, which process {first.pid} on {socket.gethostname()} has been working on since 20"
    assert holder in printed[1][1]
    assert (tmp_path / "mpd" / "log").read_text() == "worked\n"


def test_a_killed_holder_holds_no_longer(tmp_path: Path) -> None:
    first = start(tmp_path, 60.0)
    wait_until_begun(tmp_path)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=30)
    (tmp_path / "mpd" / "busy").unlink()
    assert not memo.run(slow_job(tmp_path, 0.0)).reused
    assert not list((tmp_path / "mpd" / ".steps").glob("*.holder.json")), "nobody holds it any more"


def test_shards_side_by_side_do_not_wait_for_each_other(tmp_path: Path) -> None:
    job = slow_job(tmp_path, 0.0)
    locks = {job.stamp.with_suffix(f".{number}-of-4.lock") for number in range(1, 5)}
    assert len(locks | {job.lock}) == 5


HOLDER = """
import pathlib, sys, time
from larp_core.runtime.locks import held
with held(pathlib.Path(sys.argv[1]), "mpd/slow, shard 1-of-4"):
    print("held", flush=True)
    time.sleep(3)
    pathlib.Path(sys.argv[2]).write_text("the shard has finished")
"""


def test_the_step_waits_for_a_shard_under_way(tmp_path: Path) -> None:
    job, finished = slow_job(tmp_path, 0.0), tmp_path / "finished"
    shard = job.stamp.with_suffix(".1-of-4.lock")
    environment = os.environ | {"PYTHONPATH": python_path("graph")}
    command = [sys.executable, "-c", HOLDER, str(shard), str(finished)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        assert not memo.run(job).reused
        assert finished.exists(), "the step began while the shard was at work"
    assert not list(job.stamp.parent.glob("*-of-*")), "locks of shards go with the step"
