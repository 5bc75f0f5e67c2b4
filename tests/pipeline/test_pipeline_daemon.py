"""The sensor under a real daemon: a file is dropped, and the right assets are run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from places import ROOT

from assets import sensitivity
from larp_core.config.environment import make_settings
from larp_core.graph.registry import jobs_of

BIN = Path(sys.executable).parent
WAIT_SECONDS = 120


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[bytes], log: Path) -> Any:
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        if found := condition():
            return found
        assert process.poll() is None, log.read_text()
        time.sleep(0.5)
    pytest.fail(f"nothing within {WAIT_SECONDS} s:\n{log.read_text()[-4000:]}")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (tmp_path / "mpd").mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LARP_", "DAGSTER_"))}
    return clean | {
        "DAGSTER_HOME": str(tmp_path / "home"),
        "LARP_DATA": str(tmp_path / "data"),
        "LARP_MPD_DIR": str(tmp_path / "mpd"),
        "LARP_RECIPE": "smoke",
    }


@pytest.fixture
def daemon(tmp_path: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon on this repository's workspace, with the sensor started; ended with all that it launched."""
    start = [str(BIN / "dagster"), "sensor", "start", "new_files", "-w", "workspace.yaml"]
    subprocess.run(start, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=WAIT_SECONDS)
    with (tmp_path / "daemon.log").open("wb") as log:
        command = [str(BIN / "dagster-daemon"), "run", "-w", "workspace.yaml"]
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=20)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)


def test_a_dropped_file_runs_what_depends_on_it(
    tmp_path: Path, daemon: subprocess.Popen[bytes], environment: dict[str, str]
) -> None:
    log = tmp_path / "daemon.log"
    wait_for(lambda: "No new or changed file" in log.read_text(), daemon, log)

    (tmp_path / "mpd" / "mpd.slice.0-999.json").write_text("not a slice")
    os.utime(tmp_path / "mpd" / "mpd.slice.0-999.json", (time.time() - 60,) * 2)
    with dg.DagsterInstance.from_config(environment["DAGSTER_HOME"]) as instance:
        (run,) = wait_for(instance.get_runs, daemon, log)
        wait_for(lambda: instance.get_run_by_id(run.run_id).is_finished, daemon, log)
        failures = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)

    settings = make_settings(data_dir=str(tmp_path / "data"), mpd_dir=str(tmp_path / "mpd"), recipe="smoke")
    ours = (
        job
        for job in jobs_of(settings)
        if job.step.name not in ("demo_world", *sensitivity.TRAININGS, sensitivity.FIGURE)
    )
    expected = {dg.AssetKey(job.key) for job in ours}
    assert run.job_name == "train_all"
    assert run.asset_selection == expected, "all of MPD's assets read the slices, directly or not"
    assert "mpd.slice.0-999.json" in failures[0].dagster_event.step_failure_data.user_failure_data.description
