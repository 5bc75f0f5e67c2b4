"""`python -m larp_core`: by hand without Dagster, and never longer than the step that started it."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from places import ROOT

from larp_core.cli.options import settings_of
from larp_core.cli.run import _name_lines, _open_pipes, _show_progress
from larp_core.config.environment import make_settings
from larp_core.config.settings import VARIABLES
from larp_core.graph.registry import job_named

STEP = """
import sys
import dagster as dg
from assets import launch
from assets.factory import asset_of
from larp_core.graph import registry
from larp_core.config.environment import make_settings
from larp_core.graph.job import Call, Job, Step
from pipeline.resources import resources_of

data_dir, child = sys.argv[1:]
step = Step("alone", "Sleeps.", Call("none:none", dict), outputs=lambda job: [job.paths.root / "w.txt"], torch=True)
settings = make_settings(data_dir=data_dir)
launch.command_of = lambda job: [sys.executable, "-c", child, data_dir]
asset = asset_of(Job(step, settings, "mpd"), group="mpd_training")
dg.materialize([asset], resources=resources_of(settings))
"""
CHILD = """
import os, pathlib, sys, time
from larp_core.cli.run import _open_pipes
with _open_pipes():
    pathlib.Path(sys.argv[1], "child.pid").write_text(str(os.getpid()))
    time.sleep(120)
"""


def larp_core(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "larp_core", *words]
    others = {name: value for name, value in os.environ.items() if not name.startswith("LARP_")}
    return subprocess.run(
        command, cwd=ROOT, env=others | variables, capture_output=True, text=True, timeout=60, check=False
    )


def is_running(process_id: int) -> bool:
    status = Path(f"/proc/{process_id}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_lines_of_a_step_bear_its_name() -> None:
    logger = logging.getLogger("larp_core")
    before = logger.handlers[:]
    try:
        with _open_pipes() as pipes:
            _show_progress(pipes)
        _name_lines(job_named("clips", make_settings(data_dir="data"), "mpd"), one_of=1)
        [handler] = [handler for handler in logger.handlers if handler not in before]
        line = handler.format(logging.makeLogRecord({"msg": "3 of 4 clips"}))
    finally:
        logger.handlers = before
    assert line[8:] == " mpd/clips: 3 of 4 clips"


def test_steps_are_listed() -> None:
    done = larp_core("steps")
    assert done.returncode == 0
    assert any(line.startswith("cold_start_split ") for line in done.stdout.splitlines())


def test_a_mistake_is_one_line_and_status_2(tmp_path: Path) -> None:
    for words, message in {
        ("run", "clips", "--dataset", "mpd"): "mpd/clips needs mpd/mp3, which has not been made yet",
        ("run", "nothing"): "unknown step 'nothing'",
        ("run", "clips", "--dataset", "own"): "--dataset own is not among",
        ("run", "clips", "--recipe", "papr"): "unknown recipe 'papr'",
    }.items():
        done = larp_core(*words, "--data-dir", str(tmp_path))
        assert done.returncode == 2
        assert done.stderr.startswith("larp: ") and done.stderr.count("\n") == 1, done.stderr
        assert message in done.stderr


def test_settings_come_from_the_environment_and_options_win(tmp_path: Path) -> None:
    (tmp_path / "mpd").mkdir()
    variables = {"LARP_DATA": str(tmp_path / "data"), "LARP_MPD_DIR": str(tmp_path / "mpd"), "LARP_RECIPE": "smoke"}
    done = larp_core("run", "source", **variables)
    assert done.returncode == 2 and f"the folder {tmp_path / 'mpd'} is empty" in done.stderr
    assert (tmp_path / "data").is_dir()
    done = larp_core("run", "source", "--mpd-dir", str(tmp_path / "gone"), **variables)
    assert done.returncode == 2 and f"LARP_MPD_DIR: {tmp_path / 'gone'} is not a folder" in done.stderr


def test_inside_dagster_options_are_all_that_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LARP_RECIPE", "paper")
    options = dict.fromkeys(VARIABLES.values()) | {"data_dir": str(tmp_path)}
    assert settings_of(options).recipe.name == "paper"
    assert settings_of(options, {}).recipe.name == "demo"


def test_a_training_process_ends_with_its_killed_step(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    step = subprocess.Popen([sys.executable, "-c", STEP, str(tmp_path), CHILD], cwd=ROOT, env=environment)
    try:
        until = time.monotonic() + 60
        note = tmp_path / "child.pid"
        while not (note.exists() and note.read_text()) and time.monotonic() < until:
            time.sleep(0.1)
        child_id = int(note.read_text())
        assert is_running(child_id)
    finally:
        step.send_signal(signal.SIGKILL)
        step.wait()
    until = time.monotonic() + 20
    while is_running(child_id) and time.monotonic() < until:
        time.sleep(0.1)
    assert not is_running(child_id)
