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
from torch import Tensor, nn
from two_processes import CASES, measure

from larp_core.runtime.errors import UserError
from larp_core.training import distributed
from larp_core.training.synced_norm import SyncedBatchNorm, sync_batch_norms, unsynced_batch_norms

HERE = Path(__file__).parent


def run_two_processes(folder: Path) -> str:
    """What they printed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]), "OMP_NUM_THREADS": "1"}
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *launcher, str(HERE / "two_processes.py"), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_two_processes_train_as_one_would_with_twice_the_batch(tmp_path: Path) -> None:
    """All in one test, so that the two processes are started once, whatever worker runs it."""
    printed = run_two_processes(tmp_path)
    for stage, norm in CASES:
        alone = measure(stage, norm)
        compare(alone, *(load_file(tmp_path / f"{stage}-{rank}.safetensors") for rank in (0, 1)))
    # What one of them finds wrong is told to both.
    assert [json.loads((tmp_path / f"told-{rank}.json").read_text()) for rank in (0, 1)] == ["a file is gone here"] * 2
    # By the command line both train and one writes.
    assert printed.count("rows, done in") == 1
    assert printed.count("epoch 1/2: loss") == 1
    models = tmp_path / "data" / "mpd" / "models"
    assert json.loads((models / "larp_wtc" / "training.json").read_text())["num_processes"] == 2
    assert sorted(path.name for path in models.iterdir()) == ["larp_wtc", "larp_wtc.tensorboard"]
    assert len(list((models / "larp_wtc.tensorboard").iterdir())) == 1


def compare(alone: dict[str, Tensor], first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    """Gradients of the first step, then weights, momentum weights, queue and tables after the last one."""
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


def test_one_row_is_normalised_by_the_running_statistics() -> None:
    norms = nn.Sequential(nn.BatchNorm1d(3, affine=False))
    sync_batch_norms(norms)
    norms[0].running_mean.fill_(1.0)
    with unsynced_batch_norms(norms):
        assert torch.allclose(norms(torch.ones(1, 3) * 3), torch.full((1, 3), 2.0), atol=1e-4)
        assert torch.allclose(
            norms(torch.tensor([[0.0] * 3, [2.0] * 3])), torch.tensor([[-1.0] * 3, [1.0] * 3]), atol=1e-4
        )
    assert norms[0].synced


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_cuda_where_asked_for_says_so() -> None:
    with pytest.raises(UserError, match=r"training\.device is 'cuda', but torch sees no CUDA device"):
        distributed.start("cuda")
