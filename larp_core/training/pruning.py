"""Pair pruning: edges of the track graph O whose tracks are least alike are taken for noise, as CIRP prunes relations.

CIRP (Ma et al., ACM MM 2024, arXiv 2404.01735) scores each relation of its item graph and drops a share of the lowest
before training. O of a million playlists has more edges than can be listed, so ours are never listed either: an edge's
score is the cosine of the two tracks' vectors under the stage's starting weights, and the threshold is that share's
quantile over many drawn pairs. A pruned pair is not drawn again and is neither a positive nor a negative of TTC.

Shapes: T train tracks, D width, B and C tracks of a step.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from larp_core.config import TrainingConfig
from larp_core.data.train_graph import TrainGraph
from larp_core.model.modeling_larp import LarpModel
from larp_core.runtime.errors import UserError
from larp_core.training.encode import encode_all, track_vectors
from larp_core.training.track_data import TrackData

logger = logging.getLogger(__name__)

MEASURED_PAIRS = 100_000
REDRAWS = 20
"""An anchor none of whose twenty draws is kept goes without a partner's positive for that step."""


@dataclass(frozen=True)
class PairPruning:
    """Which pairs of tracks are kept.

    Attributes:
        vectors: float32 [T, D], unit length; zeros for a track that has none.
        threshold: the lowest cosine that is kept.
    """

    vectors: np.ndarray
    threshold: float

    def keeps(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Tracks [B] against tracks [C], bool [B, C]; a track is always kept with itself."""
        alike = self.vectors[left] @ self.vectors[right].T >= self.threshold
        return alike | (left[:, None] == right[None, :])

    def keeps_pairs(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Tracks [B] with tracks [B], bool [B]."""
        return np.einsum("bd,bd->b", self.vectors[left], self.vectors[right]) >= self.threshold

    def draw_partners(
        self, graph: TrainGraph, rng: np.random.Generator, anchors: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `TrainGraph.draw_partners`; pairs that are not kept are drawn again, up to `REDRAWS` times."""
        partners, playlists = graph.draw_partners(rng, anchors)
        for _ in range(REDRAWS):
            again = np.flatnonzero(~self.keeps_pairs(anchors, partners))
            if not len(again):
                break
            partners[again], playlists[again] = graph.draw_partners(rng, anchors[again])
        return partners, playlists


def pruning_by(
    model: LarpModel, data: TrackData, graph: TrainGraph, anchors: np.ndarray, training: TrainingConfig
) -> PairPruning:
    """The recipe's share of pairs, scored by the stage's starting weights: for a run that goes on the same as before.

    Every process calls this.
    """
    vectors = track_vectors(encode_all(model, data, training.precision, shared_out=True))
    pruning = prune_pairs(graph, anchors, vectors, training.pair_pruning, training.seed)
    logger.info("pairs of a cosine below %.3f are pruned", pruning.threshold)
    return pruning


def prune_pairs(graph: TrainGraph, anchors: np.ndarray, vectors: np.ndarray, share: float, seed: int) -> PairPruning:
    """Drops the `share` of drawn pairs that are least alike.

    Args:
        anchors: the tracks that pairs are drawn for, each with a partner.
        vectors: [T, D], of any length.

    Raises:
        UserError: a share that isn't within 0 and 1.
    """
    if not 0.0 <= share < 1.0:
        raise UserError(f"training.pair_pruning is {share}, and must be 0 or more and below 1")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0).astype(np.float32)
    rng = np.random.default_rng([seed, 0])  # epochs are numbered from 1
    measured = rng.choice(anchors, MEASURED_PAIRS)
    partners, _ = graph.draw_partners(rng, measured)
    scores = np.einsum("bd,bd->b", unit[measured], unit[partners])
    return PairPruning(unit, float(np.quantile(scores, share)))
