"""Batch norms over the whole batch where its tracks are shared out over processes, on CPU and GPU alike.

`torch.nn.SyncBatchNorm` needs CUDA, and HTS-AT begins with a batch norm over mel bins: without this, two processes
with half a batch each would compute other features than one with all of it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from larp_core.training.processes import summed


class SyncedBatchNorm(_BatchNorm):
    """[N, C, ...] -> the same, normalised in training by mean and variance over every process's rows.

    A single row in all, which has no variance, goes by the running statistics, as in a model of one process.

    Attributes:
        synced: False where every process has the same rows, as when statistics settle.
    """

    synced = True

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions."""

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and self.synced):
            return super().forward(input)
        dims = [0, *range(2, input.dim())]
        shape = [1, -1] + [1] * (input.dim() - 2)
        rows = input.float()
        number = summed(torch.tensor(rows.numel() / rows.shape[1], device=rows.device))
        if number < 2:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        mean = summed(rows.sum(dims)) / number
        centred = rows - mean.view(shape)
        variance = summed(centred.square().sum(dims)) / number
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
