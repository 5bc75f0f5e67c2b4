"""Loading the definitions: light, within its borders, and one clear line when a setting is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

HEAVY = (
    "torch",
    "torchaudio",
    "transformers",
    "librosa",
    "sklearn",
    "matplotlib",
    "yt_dlp",
    "polars",
    "numpy",
    "duckdb",
)
BIN = Path(sys.executable).parent


def run(*command: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LARP_", "DAGSTER_"))}
    environment = {**clean, "DAGSTER_HOME": str(home), "LARP_DATA": str(home / "data"), **variables}
    environment["DAGSTER_CLI_JOB_EXECUTE_MODULE_NAME"] = "pipeline.definitions"
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return tmp_path


def test_nothing_heavy_is_loaded_and_no_thread_is_started(home: Path) -> None:
    code = (
        "import pipeline.definitions as d, sys, threading; d.defs.get_repository_def();"
        f"print([m for m in {HEAVY!r} if m in sys.modules], threading.active_count())"
    )
    done = run(sys.executable, "-c", code, home=home)
    assert done.stdout.split("\n")[-2] == "[] 1", done.stdout + done.stderr


def test_borders_between_the_packages_hold(home: Path) -> None:
    done = run(str(BIN / "lint-imports"), "--no-cache", home=home)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


WRONG = {
    "recipe": ({"LARP_RECIPE": "papr"}, "unknown recipe 'papr'"),
    "dataset": ({"LARP_DATASETS": "mpd,spotify"}, "unknown dataset 'spotify'"),
    "folder": ({"LARP_MPD_DIR": "/no/such/folder"}, "LARP_MPD_DIR: /no/such/folder is not a folder"),
    "audio": ({"LARP_AUDIO_DIR": "/no/such/folder"}, "LARP_AUDIO_DIR: /no/such/folder is not a folder"),
    "data": ({"LARP_DATA": "/proc/larp"}, "cannot write to /proc/larp"),
    "half": ({"LARP_MPD_DIR": str(ROOT), "LARP_DATASETS": "mpd,lfm"}, "LARP_LFM_DIR is not set"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_is_one_line_and_status_2(home: Path, name: str) -> None:
    variables, message = WRONG[name]
    done = run(str(BIN / "dagster"), "job", "execute", "-j", "train_all", home=home, **variables)
    lines = [line for line in done.stderr.splitlines() if line.startswith("larp: ")]
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1 and message in lines[0], done.stderr
    assert "Traceback" not in done.stderr + done.stdout
