"""The mean of a stage's losses, each with its weight (the paper's equations 7 to 9 weigh all alike)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from larp_core.runtime.errors import UserError

LOSSES = ("wtc", "ttc", "tpc", "clap")


def checked_weights(weights: tuple[tuple[str, float], ...], losses: tuple[str, ...]) -> dict[str, float]:
    """`training.loss_weights` as a dictionary.

    Raises:
        UserError: a name that no loss has, a negative weight, or nothing left of a stage's `losses`.
    """
    for name, weight in weights:
        if name not in LOSSES:
            raise UserError(f"training.loss_weights: there is no loss '{name}'; choose from {', '.join(LOSSES)}")
        if weight < 0:
            raise UserError(f"training.loss_weights: the weight of {name} is {weight}, and must not be negative")
    if not sum(dict(weights).get(name, 1.0) for name in losses):
        raise UserError(f"training.loss_weights leaves nothing of {', '.join(losses)}: give one a weight above 0")
    return dict(weights)


def weighted_mean(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The sum of weight times loss over the sum of weights, a scalar."""
    values = torch.stack(list(losses.values()))
    if not weights:
        return values.mean()
    shares = values.new_tensor([weights.get(name, 1.0) for name in losses])
    return (values * shares).sum() / shares.sum()
