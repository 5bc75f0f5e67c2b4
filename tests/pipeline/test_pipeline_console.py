"""What a person reads in the terminal: a line a step, a line for a mistake of theirs, a stack for one of ours."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from places import ROOT

from larp_core.runtime.errors import UserError
from pipeline.console import one_line_console


@dg.op
def says() -> None:
    raise dg.Failure(description=str(UserError("LARP_MPD_DIR: there is no folder x; create it")), allow_retries=False)


@dg.op
def breaks() -> None:
    raise ZeroDivisionError("ours")


@dg.op
def tells(context: dg.OpExecutionContext) -> None:
    context.log.info("3 rows, done in 0.1 s")


CHILD = """
import logging
from larp_core.cli.run import _name_lines, _open_pipes, _show_progress
from larp_core.config.environment import make_settings
from larp_core.graph.registry import job_named
job = job_named("scores/bert", make_settings(data_dir="data"), "mpd")
with _open_pipes() as pipes:
    _show_progress(pipes)
    for one_of in (1, 2):
        _name_lines(job, one_of)
        logging.getLogger("larp_core.training").info("736 anchors")
"""


@dg.op
def trains(context: dg.OpExecutionContext) -> None:
    dg.PipesSubprocessClient(cwd=str(ROOT)).run(context=context, command=[sys.executable, "-c", CHILD])


def printed(capfd: pytest.CaptureFixture[str], *ops: dg.OpDefinition) -> list[str]:
    @dg.job(logger_defs={"console": one_line_console}, config={"loggers": {"console": {"config": {}}}})
    def run() -> None:
        for op in ops:
            op()

    run.execute_in_process(raise_on_error=False)
    return capfd.readouterr().err.splitlines()


def test_a_step_tells_its_line_with_time_and_name(capfd: pytest.CaptureFixture[str]) -> None:
    (line,) = printed(capfd, tells)
    time, said = line.split(" ", 1)
    assert len(time) == len("14:57:36") and said == "tells: 3 rows, done in 0.1 s"


def test_what_a_steps_process_tells_is_printed_once(capfd: pytest.CaptureFixture[str]) -> None:
    """With the step's name where its process runs several, which Dagster calls by one."""
    alone, together = printed(capfd, trains)
    assert (alone[9:], together[9:]) == ("trains: 736 anchors", "trains: bert: 736 anchors")


def test_an_error_of_ours_keeps_its_stack(capfd: pytest.CaptureFixture[str]) -> None:
    lines = printed(capfd, breaks)
    assert any("ZeroDivisionError: ours" in line for line in lines)
    assert any("test_pipeline_console.py" in line for line in lines)


def test_a_users_mistake_is_one_line_and_not_what_did_not_run_after_it(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text().replace("data/", "dagster/"))
    (tmp_path / "empty").mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LARP_")} | {
        "LARP_DATA": str(tmp_path / "data"),
        "LARP_RECIPE": "smoke",
        "LARP_MPD_DIR": str(tmp_path / "empty"),
        "DAGSTER_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
    }
    command = ["dagster", "job", "execute", "-m", "pipeline.definitions", "-j", "train_all"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    lines = (result.stdout + result.stderr).splitlines()
    assert result.returncode != 0
    said = f"mpd/source: LARP_MPD_DIR: the folder {tmp_path / 'empty'} is empty; put mpd.slice.*.json files or"
    *before, end, what_to_do, error = lines
    assert end[9:].startswith(f"The run failed. {said}")
    assert what_to_do.startswith("Run the job again") and error.startswith("Error: Run")
    assert all(line[9:].startswith(said) for line in before) and len(before) <= 1
