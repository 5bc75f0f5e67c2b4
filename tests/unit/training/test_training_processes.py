"""Two processes with a batch each do what one does with twice the batch: gloo, on a CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from two_processes import CASES, measure

from larp_core.errors import UserError
from larp_core.training import processes
from larp_core.training.synced_norm import SyncedBatchNorm, sync_batch_norms

pytestmark = pytest.mark.xdist_group("two_processes")

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that two processes wrote to, and what they printed."""
    folder = tmp_path_factory.mktemp("processes")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]), "OMP_NUM_THREADS": "1"}
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *launcher, str(HERE / "two_processes.py"), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout + done.stderr


@pytest.mark.parametrize(("stage", "norm"), CASES)
def test_two_processes_equal_one_with_twice_the_batch(measured: tuple[Path, str], stage: str, norm: str) -> None:
    alone = measure(stage, norm)
    first, second = (load_file(measured[0] / f"{stage}-{rank}.safetensors") for rank in (0, 1))
    assert alone.keys() == first.keys() == second.keys()
    gradients = [name for name in alone if name.startswith("gradient.")]
    assert len(gradients) > 20
    largest = max(alone[name].abs().max() for name in gradients)
    for name in gradients:
        assert torch.allclose(alone[name], first[name], rtol=1e-3, atol=1e-5 * float(largest)), name
    for name, tensor in alone.items():
        assert torch.equal(first[name], second[name]), name
        if name.startswith("after.") and tensor.is_floating_point():
            assert torch.allclose(tensor, first[name], rtol=1e-3, atol=2e-4), name
        elif name.startswith("after."):
            assert torch.equal(tensor, first[name]), name  # which tracks are in the queue, and where it stands
    assert torch.allclose(alone["losses"], first["losses"], atol=1e-4)


def test_what_one_process_finds_wrong_is_told_to_both(measured: tuple[Path, str]) -> None:
    told = [json.loads((measured[0] / f"told-{rank}.json").read_text()) for rank in (0, 1)]
    assert told == ["a file is gone here"] * 2


def test_the_command_line_trains_with_both_and_one_writes(measured: tuple[Path, str]) -> None:
    folder, printed = measured
    assert printed.count("mpd/larp_wtc: ") == 1
    assert printed.count("epoch 1/2: loss") == 1
    models = folder / "data" / "mpd" / "models"
    assert json.loads((models / "larp_wtc" / "training.json").read_text())["num_processes"] == 2
    assert sorted(path.name for path in models.iterdir()) == ["larp_wtc", "larp_wtc.tensorboard"]
    assert len(list((models / "larp_wtc.tensorboard").iterdir())) == 1


def test_a_synced_norm_alone_is_an_ordinary_one() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3, affine=False))
    synced = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3, affine=False))
    sync_batch_norms(synced)
    assert all(isinstance(module, SyncedBatchNorm) for module in synced)
    assert synced.state_dict().keys() == plain.state_dict().keys()
    for momentum in (0.1, None):
        for module in (*plain, *synced):
            module.momentum = momentum
        rows = torch.randn(4, 3, 5, 6, requires_grad=True) * 3 + 20
        outputs = [model(rows) for model in (plain, synced)]
        assert torch.allclose(outputs[0], outputs[1], atol=1e-5)
        grads = [torch.autograd.grad(output.square().mul(rows.detach()).sum(), rows) for output in outputs]
        assert torch.allclose(grads[0][0], grads[1][0], rtol=1e-3, atol=1e-3)
    for name, tensor in plain.state_dict().items():
        assert torch.allclose(tensor, synced.state_dict()[name], rtol=1e-4, atol=1e-5), name
    assert torch.allclose(plain.eval()(rows), synced.eval()(rows), atol=1e-4)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_cuda_where_asked_for_says_so() -> None:
    with pytest.raises(UserError, match=r"training\.device is 'cuda', but torch sees no CUDA device"):
        processes.start("cuda")
