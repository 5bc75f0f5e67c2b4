"""HTS-AT's batch norm over mel bins, in an order that spares the backward pass through the resizing of the spectrogram.

HTS-AT normalises the 1,001 frames and then stretches them to 1,024 by bicubic interpolation. Scale and shift are one
number a bin, and the weights of an interpolation along time sum to one, so they can as well come after it: the same
values but for rounding, and a gradient that is a sum over frames.

Shapes: B clips, F mel bins, T frames.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MelNorm(nn.BatchNorm2d):
    """[B, F, T, 1] -> [B, F, `frames`, 1] where scale and shift are learned; otherwise an ordinary batch norm.

    The audio encoder does not resize what is as long as it wants.
    """

    def __init__(self, num_features: int, frames: int) -> None:
        super().__init__(num_features)
        self.frames = frames

    def forward(self, input: Tensor) -> Tensor:
        learns = torch.is_grad_enabled() and self.weight.requires_grad and not input.requires_grad
        if not learns or input.shape[2] >= self.frames:
            return super().forward(input)
        with torch.no_grad():
            normal = F.batch_norm(
                input,
                self.running_mean,
                self.running_var,
                training=self.training,
                momentum=self._share_of_this_batch(),
                eps=self.eps,
            )
            stretched = F.interpolate(
                normal.transpose(1, 3), (self.frames, self.num_features), mode="bicubic", align_corners=True
            ).transpose(1, 3)
        return stretched * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)

    def _share_of_this_batch(self) -> float:
        """Of the running statistics, as `nn.BatchNorm2d` counts it."""
        if not self.training or self.num_batches_tracked is None:
            return 0.0
        self.num_batches_tracked.add_(1)
        return 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
