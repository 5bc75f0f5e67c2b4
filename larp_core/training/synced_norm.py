"""Batch norms over the whole batch where its tracks are shared out over processes, on CPU and GPU alike.

HTS-AT begins with a batch norm over mel bins: without this, two processes with half a batch each would compute other
features than one with all of it. `torch.nn.SyncBatchNorm` needs CUDA, and can't be told that every process has the same
rows; one path for both kinds of machine is one that the tests on a CPU see.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from larp_core.training.distributed import all_reduce


class SyncedBatchNorm(_BatchNorm):
    """[N, C, ...] -> the same, normalised in training by mean and variance over every process's rows.

    Attributes:
        synced: False while every process has the same rows: see `unsynced_batch_norms`.
    """

    synced = True

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions."""

    def forward(self, input: Tensor) -> Tensor:
        if self.training and self.synced:
            return self._over_processes(input)
        if self.training and input.numel() == self.num_features:  # one row has no variance
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(input)

    def _over_processes(self, input: Tensor) -> Tensor:
        dims = [0, *range(2, input.dim())]
        shape = [1, -1] + [1] * (input.dim() - 2)
        rows = input.float()
        number = all_reduce(torch.tensor(rows.numel() / rows.shape[1], device=rows.device))
        mean = all_reduce(rows.sum(dims)) / number
        centred = rows - mean.view(shape)
        variance = all_reduce(centred.square().sum(dims)) / number
        self._follow(mean.detach(), variance.detach() * number / (number - 1))
        normal = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def sync_batch_norms(module: nn.Module) -> None:
    """Replaces every batch norm below `module`; weights and names stay."""
    for name, child in module.named_children():
        if not isinstance(child, _BatchNorm):
            sync_batch_norms(child)
            continue
        synced = SyncedBatchNorm(child.num_features, child.eps, child.momentum, child.affine, child.track_running_stats)
        synced._parameters, synced._buffers, synced.training = child._parameters, child._buffers, child.training
        setattr(module, name, synced)


@contextlib.contextmanager
def unsynced_batch_norms(module: nn.Module) -> Iterator[None]:
    """Within, every process has the same rows, and need not ask the others."""
    norms = [norm for norm in module.modules() if isinstance(norm, SyncedBatchNorm)]
    for norm in norms:
        norm.synced = False
    try:
        yield
    finally:
        for norm in norms:
            norm.synced = True
