"""The one formula under every loss: cross entropy between a softmax over similarities and a set of positives.

Shapes: B queries, C keys (the batch's, then the queue's), D width. Paper, equations 2, 3, 15 and 19.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

LONG_QUEUE = 4_096
"""From here on batch and queue are multiplied apart: the queue is not copied beside the batch for every softmax, and no
gradient is computed for it. A short one is quicker in one product."""

QueuePositives = Literal["negative", "masked"]


@dataclass(frozen=True)
class Keys:
    """The columns of a contrast.

    Attributes:
        vectors: unit vectors [C, D], without those of `queue`.
        positives: bool [B, C].
        takes_part: bool [B, C]; False columns are left out of the softmax.
        log_weights: [B, C], added to the logits; None counts every column once.
        queue: unit vectors of the last columns, where they stand apart.
    """

    vectors: Tensor
    positives: Tensor
    takes_part: Tensor
    log_weights: Tensor | None = None
    queue: Tensor | None = None

    def similarities(self, queries_BD: Tensor) -> Tensor:
        """Cosines [B, C] of queries that are unit vectors."""
        in_batch_BN = queries_BD @ self.vectors.T
        return in_batch_BN if self.queue is None else torch.cat([in_batch_BN, queries_BD @ self.queue.T], dim=1)

    def without(self, left_out_BN: Tensor) -> Keys:
        """The first N columns take no part where `left_out_BN` says so, and are no positives."""
        kept_BC = F.pad(~left_out_BN, (0, self.takes_part.shape[1] - left_out_BN.shape[1]), value=True)
        return replace(self, positives=self.positives & kept_BC, takes_part=self.takes_part & kept_BC)


def make_keys(
    batch_CD: Tensor,
    batch_valid_C: Tensor,
    batch_related_BC: Tensor,
    queue_QD: Tensor,
    queue_valid_Q: Tensor,
    queue_related_BQ: Tensor,
    queue_positives: QueuePositives,
) -> Keys:
    """Batch and queue columns side by side.

    In the batch every relation is a positive (y in {0, 1}^B, equations 19 and 25). In the queue a related column is a
    `negative` by the paper's letter, or `masked`: known false negatives take no part.
    Columns that hold nothing of the wanted modality are not valid and take no part.
    """
    batch_part_BC = batch_valid_C.expand_as(batch_related_BC)
    queue_part_BQ = queue_valid_Q.expand_as(queue_related_BQ)
    if queue_positives == "masked":
        queue_part_BQ = queue_part_BQ & ~queue_related_BQ
    is_long = len(queue_QD) >= LONG_QUEUE
    return Keys(
        vectors=batch_CD if is_long else torch.cat([batch_CD, queue_QD]),
        positives=torch.cat([batch_related_BC & batch_part_BC, torch.zeros_like(queue_related_BQ)], dim=1),
        takes_part=torch.cat([batch_part_BC, queue_part_BQ], dim=1),
        queue=queue_QD if is_long else None,
    )


def contrast(
    queries_BD: Tensor,
    keys: Keys,
    temperature: Tensor | float,
    soft_labels_BC: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Mean over queries of CE(y, softmax(sim(query, keys) / temperature)).

    The positives of a query share its target mass evenly. `soft_labels_BC`, rows summing to one or less, take the rest
    of the mass where they are given (ALBEF's momentum distillation): y = soft + (1 - sum(soft)) * even shares.
    `label_smoothing` of the mass then goes evenly to all columns that take part (Szegedy et al. 2016, section 7).

    Returns:
        A scalar. Queries without a positive don't count; with none left the loss is zero, with a gradient of zero.
    """
    counts_B = keys.positives.any(1)
    if not counts_B.any():
        return queries_BD.sum() * 0.0
    takes_part_BC = keys.takes_part[counts_B]
    logits_BC = keys.similarities(queries_BD[counts_B]) / temperature
    if keys.log_weights is not None:
        logits_BC = logits_BC + keys.log_weights[counts_B]
    logits_BC = logits_BC.masked_fill(~takes_part_BC, float("-inf"))
    log_probabilities_BC = logits_BC.log_softmax(1).masked_fill(~takes_part_BC, 0.0)
    shares_BC = keys.positives[counts_B].to(logits_BC.dtype)
    shares_BC = shares_BC / shares_BC.sum(1, keepdim=True)
    if soft_labels_BC is not None:
        soft_BC = soft_labels_BC[counts_B]
        shares_BC = soft_BC + (1.0 - soft_BC.sum(1, keepdim=True)) * shares_BC
    if label_smoothing:
        even_BC = takes_part_BC.to(shares_BC.dtype) / takes_part_BC.sum(1, keepdim=True)
        shares_BC = torch.lerp(shares_BC, even_BC, label_smoothing)
    return -(shares_BC * log_probabilities_BC).sum(1).mean()


def momentum_soft_labels(queries_BD: Tensor, keys: Keys, temperature: Tensor | float, weight: float) -> Tensor | None:
    """`weight` times the softmax of the momentum encoder's own similarities [B, C]; None where the weight is zero."""
    if weight == 0.0:
        return None
    with torch.no_grad():
        logits_BC = keys.similarities(queries_BD) / temperature
        return weight * logits_BC.masked_fill(~keys.takes_part, float("-inf")).softmax(1).nan_to_num(0.0)
