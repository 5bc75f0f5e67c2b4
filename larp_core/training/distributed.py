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
from torch import Tensor
from torch import distributed as dist

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
    if before is not None and world_size() == 1 and (before.type == "cpu") != on_cpu:
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


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def is_main() -> bool:
    """True on the one process that writes files and reports."""
    return rank() == 0


def _device() -> torch.device:
    """Where tensors must be to be exchanged."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


class _Sum(torch.autograd.Function):
    """Each process computes the same loss from the sum, so the gradients, summed, are `world_size()` times the true
    ones; DistributedDataParallel's mean over processes takes that factor out again."""

    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        total = tensor.detach().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total


def all_reduce(tensor: Tensor) -> Tensor:
    """The sum over processes, differentiable."""
    return tensor if world_size() == 1 else _Sum.apply(tensor)


def all_gather(tensor: Tensor) -> Tensor:
    """Every process's tensor of one shape, by rank: [processes, ...]."""
    if world_size() == 1:
        return tensor.unsqueeze(0)
    parts = [torch.empty_like(tensor, device=_device()) for _ in range(world_size())]
    dist.all_gather(parts, tensor.to(_device()))
    return torch.stack(parts).to(tensor.device)


def all_reduce_max(*values: int) -> tuple[int, ...]:
    """The largest of each value over processes: what one wants (to stop, to save), all do."""
    if world_size() == 1:
        return values
    total = torch.tensor(values, device=_device())
    dist.all_reduce(total, dist.ReduceOp.MAX)
    return tuple(total.tolist())


def broadcast(value: Any) -> Any:
    """The main process's value, on every process."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box)
    return box[0]


def barrier() -> None:
    """Until every process is here."""
    if world_size() > 1:
        dist.barrier()


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
        if world_size() == 1:
            raise
        message = str(error)
    if world_size() > 1:
        found: list[Any] = [None] * world_size()
        dist.all_gather_object(found, message)
        if first := next(filter(None, found), None):
            raise UserError(first)


def leave() -> None:
    """After the last step; a process that fails doesn't, so that it waits for nobody."""
    if dist.is_initialized():
        dist.destroy_process_group()
