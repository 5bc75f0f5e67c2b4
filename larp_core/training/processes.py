"""The processes that train together, on `accelerate`: one alone, or those of `torchrun` and `accelerate launch`.

Every process draws the same batches, runs its share of their tracks through the towers and exchanges the features, so
that each computes the loss of the whole batch. With one process every function here does nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs
from torch import Tensor, distributed

from larp_core.config.encoders import TRAINED
from larp_core.graph import memo
from larp_core.graph.job import Job
from larp_core.runtime.errors import UserError

LONGEST_WAIT = timedelta(hours=12)
"""The others wait for as long as the main process may work on a step that is not shared out."""


def start(device: str) -> Accelerator:
    """Joins the processes. `device` is the recipe's: `auto`, `cpu` or `cuda`.

    Raises:
        UserError: CUDA is asked for and there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("training.device is 'cuda', but torch sees no CUDA device; set it to 'auto' or 'cpu'")
    on_cpu = device == "cpu" or not torch.cuda.is_available()
    before = PartialState._shared_state.get("device")
    if before is not None and count() == 1 and (before.type == "cpu") != on_cpu:
        AcceleratorState._reset_state(reset_partial_state=True)  # another recipe's device, in a process of its own
    return Accelerator(
        cpu=on_cpu,
        mixed_precision="no",  # the objective knows what runs in half precision: the towers, never the losses
        kwargs_handlers=[
            # Buffers are the same everywhere as they are: the queue is filled with exchanged features.
            DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False),
            InitProcessGroupKwargs(timeout=LONGEST_WAIT),
        ],
    )


def count() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_main() -> bool:
    """True on the one process that writes files and reports."""
    return rank() == 0


def _device() -> torch.device:
    """Where tensors must be to be exchanged."""
    return torch.device("cuda" if distributed.get_backend() == "nccl" else "cpu")


class _Sum(torch.autograd.Function):
    """Each process computes the same loss from the sum, so the gradients, summed, are `count()` times the true ones;
    DistributedDataParallel's mean over processes takes that factor out again."""

    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        total = tensor.detach().clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total


def summed(tensor: Tensor) -> Tensor:
    """The sum over processes, differentiable."""
    return tensor if count() == 1 else _Sum.apply(tensor)


def gathered(tensor: Tensor) -> Tensor:
    """Every process's tensor of one shape, by rank: [processes, ...]."""
    if count() == 1:
        return tensor.unsqueeze(0)
    parts = [torch.empty_like(tensor, device=_device()) for _ in range(count())]
    distributed.all_gather(parts, tensor.to(_device()))
    return torch.stack(parts).to(tensor.device)


def largest(*values: int) -> tuple[int, ...]:
    """The largest of each value over processes: what one wants (to stop, to save), all do."""
    if count() == 1:
        return values
    total = torch.tensor(values, device=_device())
    distributed.all_reduce(total, distributed.ReduceOp.MAX)
    return tuple(total.tolist())


def told(value: Any) -> Any:
    """The main process's value, on every process."""
    if count() == 1:
        return value
    box = [value]
    distributed.broadcast_object_list(box)
    return box[0]


def wait() -> None:
    """Until every process is here."""
    if count() > 1:
        distributed.barrier()


@contextlib.contextmanager
def together() -> Iterator[None]:
    """What a process finds wrong stops all of them with the same message.

    Raises:
        UserError: the first process's that raised one.
    """
    message = ""
    try:
        yield
    except UserError as error:
        if count() == 1:
            raise
        message = str(error)
    if count() > 1:
        found: list[Any] = [None] * count()
        distributed.all_gather_object(found, message)
        if first := next(filter(None, found), None):
            raise UserError(first)


def run_step(job: Job) -> memo.Finished | None:
    """`memo.run` by several processes: all of them train; any other step is the main process's, and the others wait.

    Returns:
        The finished run on the main process, None on the others.

    Raises:
        UserError: as `memo.run`; a process that raises one ends, and the launcher ends the others.
    """
    start(job.recipe.training.device)
    with together():
        done = memo.finished(job) if is_main() else None
    if not told(done is not None):
        if is_main():
            done = memo.run(job)
        elif job.step.name in TRAINED:
            job.work()
    wait()
    return done


def leave() -> None:
    """After the last step; a process that fails doesn't, so that it waits for nobody."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
