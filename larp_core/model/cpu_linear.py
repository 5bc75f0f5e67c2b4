"""The towers' linear layers on a CPU in fp32: oneDNN's matrix product in place of MKL's, which PyTorch takes.

MKL uses half the width of an AVX-512 unit that Intel didn't make. oneDNN uses all of it: the same numbers but for
rounding, on such a processor twice as fast. PyTorch has it for half precision and for compiled inference only.

Shapes: M rows, K inputs, N outputs of a layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

LONG = 2_048
"""Rows from which the wider factor of a weight's gradient does better on the right."""


class CpuLinear(nn.Linear):
    """`nn.Linear` with weights of the same names; it is that very layer in half precision and on other devices."""

    def forward(self, input: Tensor) -> Tensor:
        if not _suits_onednn(input, self.weight):
            return super().forward(input)
        if not torch.is_grad_enabled():
            return _product(input, self.weight, self.bias)
        out: Tensor = _Linear.apply(input, self.weight, self.bias)
        return out


def use_cpu_linear(module: nn.Module) -> None:
    """Turns every `nn.Linear` in `module` into a `CpuLinear`."""
    for layer in module.modules():
        if type(layer) is nn.Linear:
            layer.__class__ = CpuLinear


def _suits_onednn(input: Tensor, weight: Tensor) -> bool:
    return (
        input.device.type == "cpu"
        and input.dtype == weight.dtype == torch.float32
        and input.numel() > 0
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and torch.backends.mkldnn.is_available()
        and bool(torch.backends.mkldnn.enabled)
    )


def _product(left: Tensor, right_NK: Tensor, bias: Tensor | None = None) -> Tensor:
    """left [..., K] times the transpose of `right_NK`, plus `bias` [N]."""
    out: Tensor = torch.ops.mkldnn._linear_pointwise(left, right_NK, bias, "none", [], "")
    return out


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        context.save_for_backward(input, weight)
        return _product(input, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        input, weight = context.saved_tensors
        of_input, of_weight, of_bias = context.needs_input_grad
        gradient_MN = gradient.reshape(-1, gradient.shape[-1])
        return (
            _product(gradient, weight.T) if of_input else None,
            _of_weight(gradient_MN, input.reshape(-1, input.shape[-1])) if of_weight else None,
            gradient_MN.sum(0) if of_bias else None,
        )


def _of_weight(gradient_MN: Tensor, input_MK: Tensor) -> Tensor:
    if len(input_MK) >= LONG and gradient_MN.shape[1] > input_MK.shape[1]:
        return _product(input_MK.T, gradient_MN.T).T.contiguous()
    return _product(gradient_MN.T, input_MK.T)
