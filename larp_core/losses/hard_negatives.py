"""The text-aware queue: queued negatives count by how near their captions are to the query's.

Hard negatives are weighed as by Robinson et al. (ICLR 2021, equation 4): each counts exp(hardness * similarity) times,
scaled so that the queue as a whole counts as often as before. Theirs is the similarity of what is being learned, ours
that of the momentum encoder's captions, so that a clip is told apart from clips of alike names. What is too alike to be
a negative, another pressing of the same song say, is left out: the debiasing that theirs does by a prior of positives.

Shapes: B queries, C columns, the last Q of them the queue's, D width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from larp_core.losses.contrast import Keys


@dataclass(frozen=True)
class TextHardness:
    """`hardness` 0 counts all alike; `twins` is the cosine from which a column is left out, None leaves out none."""

    hardness: float = 0.0
    twins: float | None = None

    @property
    def is_on(self) -> bool:
        return self.hardness != 0.0 or self.twins is not None


@torch.no_grad()
def weigh_by_text(keys: Keys, similarity_BQ: Tensor, known_BQ: Tensor, text: TextHardness) -> Keys:
    """Keys whose last Q columns count by `similarity_BQ`, a cosine, where `known_BQ` says that both have a caption.

    Columns without one, and queries without one, count once.
    """
    num_batch = keys.takes_part.shape[1] - similarity_BQ.shape[1]
    takes_part_BC = keys.takes_part.clone()
    if text.twins is not None:
        takes_part_BC[:, num_batch:] &= ~(known_BQ & (similarity_BQ >= text.twins))
    weighed_BQ = takes_part_BC[:, num_batch:] & known_BQ
    scores_BQ = (text.hardness * similarity_BQ).masked_fill(~weighed_BQ, float("-inf"))
    # The mean weight is 1: log of exp(score) / (sum of exp(score) / number).
    number_B1 = weighed_BQ.sum(1, keepdim=True).clamp(min=1).to(scores_BQ.dtype)
    log_weights_BQ = scores_BQ - scores_BQ.logsumexp(1, keepdim=True) + number_B1.log()
    log_weights_BC = torch.zeros_like(takes_part_BC, dtype=similarity_BQ.dtype)
    log_weights_BC[:, num_batch:] = log_weights_BQ.masked_fill(~weighed_BQ, 0.0)
    return replace(keys, takes_part=takes_part_BC, log_weights=log_weights_BC)
