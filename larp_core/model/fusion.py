"""How a playlist's tracks become one vector: self-attention (paper, equations 6 and 24) or their mean.

Shapes: B playlists, J tracks of each (padded), D = projection width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def masked_mean(tracks_BJD: Tensor, present_BJ: Tensor) -> Tensor:
    """Mean over the tracks that are there; [B, D]. A playlist with none gets zeros."""
    weights_BJ1 = present_BJ.to(tracks_BJD.dtype).unsqueeze(-1)
    return (tracks_BJD * weights_BJ1).sum(1) / weights_BJ1.sum(1).clamp(min=1.0)


class MeanFusion(nn.Module):
    """A playlist is the normalised mean of its tracks (LARP-TPC in the paper's table 3)."""

    def forward(self, tracks_BJD: Tensor, present_BJ: Tensor) -> Tensor:
        return F.normalize(masked_mean(tracks_BJD, present_BJ), dim=-1)


class SelfAttentionFusion(nn.Module):
    """One self-attention layer over a playlist's tracks, averaged over them and normalised (LARP-TPC-fusion).

    Queries and keys start small and values as the identity, so that training starts from the mean and learns which
    tracks to trust; the paper starts from random weights and sees scores fall at first (section 4.4.3).
    Padding takes no part, neither as key nor in the average (the published code sums padded rows in).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)

    def reset(self) -> None:
        nn.init.normal_(self.query.weight, std=self.query.in_features**-0.5)
        nn.init.normal_(self.key.weight, std=self.key.in_features**-0.5)
        nn.init.eye_(self.value.weight)

    def forward(self, tracks_BJD: Tensor, present_BJ: Tensor) -> Tensor:
        """[B, J, D] and bool [B, J] -> [B, D], L2-normalised; a playlist with no track gets zeros."""
        scores_BJJ = self.query(tracks_BJD) @ self.key(tracks_BJD).transpose(1, 2) / math.sqrt(tracks_BJD.shape[-1])
        scores_BJJ = scores_BJJ.masked_fill(~present_BJ.unsqueeze(1), torch.finfo(scores_BJJ.dtype).min)
        attended_BJD = scores_BJJ.softmax(-1) @ self.value(tracks_BJD)
        return F.normalize(masked_mean(attended_BJD, present_BJ), dim=-1)
