"""`larp` as people type it: alone, misspelt, cut off by `head`."""

from __future__ import annotations

import subprocess
import sys

import pytest
from places import ROOT, python_path

from larp_core.cli.main import main


def larp(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "larp_core", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_alone_it_shows_the_six_things_people_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    for command in ("dagster job execute -j train_all", "dagster dev", "larp doctor", "larp run", "larp steps"):
        assert command in printed
    assert len([line for line in printed.splitlines() if line.startswith("  ")]) == 6


@pytest.mark.parametrize(
    ("words", "near"),
    [(["steeps"], "steps"), (["doktor"], "doctor"), (["RUN", "mels"], "run"), (["exprot", "--to", "x"], "export")],
)
def test_a_command_misspelt_suggests_the_nearest(words: list[str], near: str) -> None:
    done = larp(*words)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == f"larp: there is no command '{words[0]}'; did you mean '{near}'?\n"


def test_a_step_in_place_of_a_command_says_how_to_run_it() -> None:
    done = larp("mels")
    assert (done.returncode, done.stderr) == (
        2,
        "larp: there is no command 'mels'; a step is run by 'larp run mels'\n",
    )


def test_a_step_misspelt_suggests_the_nearest() -> None:
    done = larp("run", "mel", "--recipe", "smoke")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("larp: unknown step 'mel'; did you mean 'mels'?")


def test_whoever_reads_has_seen_enough() -> None:
    command = f"{sys.executable} -u -m larp_core steps | head -1"
    environment = {"PYTHONPATH": python_path(), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.startswith("demo_world ") and done.stdout.count("\n") == 1
    assert done.stderr == ""


@pytest.mark.parametrize("command", ["steps", "recipes"])
def test_lists_are_a_line_an_entry(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 5 and all(len(line.split()) > 3 for line in lines)


def test_a_wrong_setting_is_one_line() -> None:
    done = larp("doctor", "--recipe", "nonesuch")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("larp: LARP_RECIPE: unknown recipe 'nonesuch'") and done.stderr.count("\n") == 1


def test_the_surface_loads_no_torch_until_it_is_used() -> None:
    lines = (
        "import sys, larp_core",
        "larp_core.RECIPES, dir(larp_core)",
        "print({'torch', 'polars'} & {*sys.modules})",
    )
    command = [sys.executable, "-c", "; ".join(lines)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set()\n"
