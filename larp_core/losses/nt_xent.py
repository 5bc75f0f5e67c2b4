"""NT-Xent: a track against its playlist's other track, among all the rest of the batch (Chen et al. 2020, equation 1).

CO-Playlist's loss (Alonso-Jimenez et al. 2023); pairs are those of TTC.
"""

from __future__ import annotations

import torch
from torch import Tensor

from larp_core.losses.contrast import Keys, contrast


def nt_xent(
    vectors_TD: Tensor,
    present_T: Tensor,
    tracks_T: Tensor,
    temperature: float,
    related_TT: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Mean over tracks of CE between the one positive and softmax over the batch, itself left out.

    Args:
        vectors_TD: unit vectors of B anchors, then of their B partners.
        present_T: bool; a track without a clip asks nothing and is no column.
        tracks_T: which track each row is; a track that stands twice is no negative of itself.
        related_TT: bool; known false negatives, which take no part. None lets them be negatives.
    """
    num_rows = len(tracks_T)
    rows = torch.arange(num_rows, device=tracks_T.device)
    positives = rows[None, :] == (rows[:, None] + num_rows // 2) % num_rows
    takes_part = tracks_T[:, None] != tracks_T[None, :]
    if related_TT is not None:
        takes_part = takes_part & (~related_TT | positives)
    there = present_T[:, None] & present_T[None, :]
    keys = Keys(vectors_TD, positives & there, takes_part & there)
    return contrast(vectors_TD, keys, temperature, label_smoothing=label_smoothing)
