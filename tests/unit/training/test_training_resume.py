"""A run that is killed goes on to the same weights, byte for byte."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from killed_runs import MOMENTS
from training_world import TINY

from larp_core.model.pretrained import build_model
from larp_core.runtime.errors import UserError
from larp_core.training.objective import ClapObjective
from larp_core.training.run import Run, start_run
from larp_core.training.state import State, StateFolder

HERE = Path(__file__).parent


def killed_runs(folder: Path) -> dict[str, dict[str, Any]]:
    """By moment, what became of the run that was killed then."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "killed_runs.py"), str(folder), *MOMENTS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_killed_run_ends_with_the_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    """All moments in one test: they share the cost of loading torch, whatever worker runs it."""
    runs = killed_runs(tmp_path)
    undisturbed = runs["never"]
    for moment, run in runs.items():
        killed = {"never": 0, "SIGTERM": 128 + signal.SIGTERM}.get(moment, -signal.SIGKILL)
        assert run["ended"] == killed, moment
        assert run["sha256"] == undisturbed["sha256"], moment  # weights, tokenizer, training.json with the whole curve
        assert run["state_is_gone"], moment
    # `epoch:batch` of every start of an epoch, before the kill and after it; a state comes every two steps.
    assert {moment: " ".join(run["epochs_begun"]) for moment, run in runs.items()} == {
        "never": "1:0 2:0",
        "within epoch 1": "1:0 1:2 2:0",
        "within epoch 2": "1:0 2:0 2:2",
        "while a state is written": "1:0 1:2 2:0",
        "while an epoch is validated": "1:0 2:0 2:4",
        "before the model is written": "1:0 2:0",
        "SIGTERM": "1:0 1:3 2:0",  # saved on the signal, after its own step
    }
    assert [Path(name).stem for name in runs["within epoch 2"]["left"][::2]] == [
        "epoch-00002-batch-00000000",
        "epoch-00002-batch-00000002",
    ]


@pytest.mark.parametrize("fused", [False, True])
def test_the_optimiser_goes_on_from_a_state_to_the_bit(fused: bool, tmp_path: Path) -> None:
    training = dataclasses.replace(TINY.training, fused_adam=fused, warmup_steps=2)

    def make_run() -> Run:
        return start_run(ClapObjective(build_model(TINY.model, 50, seed=0), 0.07, training), training, 9)

    def take(steps: range, run: Run) -> None:
        for step in steps:
            torch.manual_seed(step)
            for parameter in run.optimizer.param_groups[0]["params"]:
                parameter.grad = torch.randn_like(parameter)
            run.step()

    whole, first, second = make_run(), make_run(), make_run()
    take(range(5), whole)
    take(range(3), first)
    folder = StateFolder(tmp_path, "run")
    folder.save(1, 3, first.state())
    second.restore(folder.load("epoch-00001-batch-00000003"))
    assert bool(whole.optimizer.defaults["fused"]) == fused
    take(range(3, 5), second)
    pairs = zip(whole.objective.state_dict().values(), second.objective.state_dict().values(), strict=True)
    assert all(torch.equal(left, right) for left, right in pairs)


def make_state(number: int) -> State:
    return State({"a.b": torch.full((3,), float(number)), "flags": torch.tensor([True, False])}, {"number": number / 3})


def test_a_state_comes_back_to_the_bit_and_two_are_kept(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "x.state", "run")
    for number in (1, 2, 10):
        folder.save(1, number, make_state(number))
    assert sorted(path.stem for path in folder.path.glob("*.json")) == [
        "epoch-00001-batch-00000002",
        "epoch-00001-batch-00000010",
    ]
    assert folder.latest() == "epoch-00001-batch-00000010"
    loaded = folder.load("epoch-00001-batch-00000010")
    assert loaded.values == make_state(10).values
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in make_state(10).tensors.items())


@pytest.mark.parametrize("suffix", ["safetensors", "json"])
@pytest.mark.parametrize("harm", ["flip", "cut", "empty"])
def test_a_corrupt_state_is_recognised_and_the_one_before_is_used(
    tmp_path: Path, suffix: str, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = StateFolder(tmp_path, "run")
    folder.save(1, 1, make_state(1))
    folder.save(1, 2, make_state(2))
    file = tmp_path / f"epoch-00001-batch-00000002.{suffix}"
    content = bytearray(file.read_bytes())
    content[-8] ^= 1
    file.write_bytes({"flip": bytes(content), "cut": bytes(content[: len(content) // 2]), "empty": b""}[harm])
    assert folder.latest() == "epoch-00001-batch-00000001"
    assert "is corrupt" in caplog.text
    assert not file.exists()


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path, "run")
    folder.save(1, 1, make_state(1))
    (tmp_path / "epoch-00001-batch-00000002.safetensors").write_bytes(b"no json yet")
    (tmp_path / ".epoch-00001-batch-00000003.1-ab.partial.safetensors").write_bytes(b"half")
    assert folder.latest() == "epoch-00001-batch-00000001"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_state_of_another_recipe_is_removed_and_of_other_processes_refused(tmp_path: Path) -> None:
    StateFolder(tmp_path, "run", num_processes=8).save(1, 1, make_state(1))
    with pytest.raises(UserError, match="8 processes, not 1"):
        StateFolder(tmp_path, "run").latest()
    assert StateFolder(tmp_path, "other run").latest() is None
    assert not tmp_path.exists()
