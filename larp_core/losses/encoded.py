"""What the losses are given: one step's encoded tracks, the queue, and who is related to whom.

Shapes: T tracks of the step (B anchors, then their B partners; anchors alone in stage 1), Q queue slots, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from larp_core.losses.contrast import Keys, QueuePositives, contrast, make_keys, momentum_soft_labels
from larp_core.losses.hard_negatives import TextHardness, weigh_by_text
from larp_core.model.momentum import NO_TRACK, FeatureQueue


@dataclass(frozen=True)
class Features:
    """Unit vectors of both modalities [T, D] and which of them each track has, bool [T]. What is missing is zeros."""

    audio: Tensor
    text: Tensor
    has_audio: Tensor
    has_text: Tensor

    def part(self, rows: slice) -> Features:
        return Features(self.audio[rows], self.text[rows], self.has_audio[rows], self.has_text[rows])

    def filled(self) -> Features:
        """The other modality stands in for a missing one, so that a track with a caption alone is contrasted by it."""
        has_any = self.has_audio | self.has_text
        audio = torch.where(self.has_audio[:, None], self.audio, self.text)
        text = torch.where(self.has_text[:, None], self.text, self.audio)
        return Features(audio, text, has_any, has_any)


@dataclass(frozen=True)
class LossOptions:
    """How targets are made; see `larp_core.config.TrainingConfig`. `diagonal_targets` asks for `losses.released`."""

    queue_positives: QueuePositives
    diagonal_targets: bool
    soft_label_weight: float
    label_smoothing: float = 0.0
    mask_false_negatives: bool = False
    text: TextHardness = field(default_factory=TextHardness)


Relation = Callable[[Tensor, Tensor], Tensor]
"""(ids [B], ids [C]) -> bool [B, C]."""


@dataclass(frozen=True)
class EncodedBatch:
    """One step.

    Attributes:
        tracks: dense train indices [T].
        num_pairs: B, the anchors that have a partner; 0 in stage 1.
        online: features with gradient.
        keys: features that stand as the batch's columns (the online ones, or the momentum encoder's).
        momentum: the momentum encoder's features, for soft labels and the queue.
        playlists: the playlist that each anchor was drawn from, dense indices [B].
        co_occurs: O, tracks against tracks. contains: R, playlists against tracks.
        keeps: which pairs of tracks pruning keeps; None keeps all.
    """

    tracks: Tensor
    num_pairs: int
    online: Features
    keys: Features
    momentum: Features
    queue: FeatureQueue
    playlists: Tensor
    co_occurs: Relation
    contains: Relation
    temperature: Tensor | float
    options: LossOptions
    keeps: Relation | None = None

    @property
    def anchors(self) -> slice:
        return slice(0, self.num_pairs)

    @property
    def partners(self) -> slice:
        return slice(self.num_pairs, 2 * self.num_pairs)

    @property
    def queue_features(self) -> Features:
        return Features(self.queue.audio, self.queue.text, self.queue.has_audio, self.queue.has_text)

    def make_keys(
        self,
        batch: tuple[Tensor, Tensor],
        related_BC: Tensor,
        queue: tuple[Tensor, Tensor],
        queue_related_BQ: Tensor,
        captions: tuple[Tensor, Tensor],
        queue_positives: QueuePositives | None = None,
    ) -> Keys:
        """Columns of `batch` and `queue`, each given as (vectors, valid).

        Args:
            captions: the queries' own, (vectors [B, D], valid [B]), which queued negatives may be weighed by.
            queue_positives: in place of the recipe's.
        """
        masked = "masked" if self.options.mask_false_negatives else self.options.queue_positives
        keys = make_keys(*batch, related_BC, *queue, queue_related_BQ, queue_positives or masked)
        if not self.options.text.is_on:
            return keys
        vectors_BD, valid_B = captions
        similarity_BQ = vectors_BD.detach() @ self.queue.text.T
        known_BQ = valid_B[:, None] & self.queue.has_text[None, :]
        return weigh_by_text(keys, similarity_BQ, known_BQ, self.options.text)

    def contrast(self, queries_BD: Tensor, momentum_BD: Tensor, keys: Keys, asks_B: Tensor | None = None) -> Tensor:
        """The contrast over the queries that `asks_B` (bool; by default all) says are there."""
        if asks_B is not None:
            keys = replace(keys, positives=keys.positives & asks_B[:, None])
        soft = momentum_soft_labels(momentum_BD, keys, self.temperature, self.options.soft_label_weight)
        return contrast(queries_BD, keys, self.temperature, soft, self.options.label_smoothing)


def same_track(left_B: Tensor, right_C: Tensor) -> Tensor:
    """bool [B, C]: identical tracks; empty queue slots equal nothing."""
    return (left_B[:, None] == right_C[None, :]) & (right_C != NO_TRACK)[None, :]
