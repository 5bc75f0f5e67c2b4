"""What an epoch is: every train track is an anchor once, in an order drawn from seed and epoch.

Pairs and neighbours are drawn on the fly from the graph and never stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from larp_core.data.train_graph import TrainGraph
from larp_core.training.pruning import PairPruning


@dataclass(frozen=True)
class Draw:
    """One step's tracks, as dense train indices.

    Attributes:
        tracks: [T]; B anchors then their B partners, or anchors alone.
        playlists: [B], the playlist that anchor and partner share; empty without pairs.
        neighbours: [B, J], other tracks of that playlist, -1 where there are fewer; [B, 0] where not asked for.
    """

    tracks: np.ndarray
    playlists: np.ndarray
    neighbours: np.ndarray


@dataclass(frozen=True)
class Sampler:
    """Draws of one stage.

    Attributes:
        anchors: [N], the train tracks that can be anchors.
        batch_size: pairs in a step, of all processes together: each draws the whole step and encodes its share.
        pairs: False in stage 1, which takes twice the tracks so that a step costs the same.
        num_neighbours: |J| of stage 3, else 0.
        pruning: pairs that are not drawn, if any.
    """

    graph: TrainGraph
    anchors: np.ndarray
    batch_size: int
    pairs: bool
    num_neighbours: int
    seed: int
    pruning: PairPruning | None = None

    @property
    def num_anchors(self) -> int:
        """Anchors in a step; never more than there are."""
        wanted = self.batch_size if self.pairs else 2 * self.batch_size
        return min(wanted, len(self.anchors))

    @property
    def steps_per_epoch(self) -> int:
        return len(self.anchors) // self.num_anchors

    def epoch(self, number: int, start: int = 0) -> Iterator[Draw]:
        """The steps of one epoch from step `start`; what is left over after the last full step waits for another order.

        Steps before `start` are drawn too, and dropped: what follows is the same as if they had been trained on.
        """
        rng = np.random.default_rng([self.seed, number])
        order = rng.permutation(self.anchors)
        for step in range(self.steps_per_epoch):
            draw = self._draw(rng, order[step * self.num_anchors : (step + 1) * self.num_anchors])
            if step >= start:
                yield draw

    def _draw(self, rng: np.random.Generator, anchors: np.ndarray) -> Draw:
        if not self.pairs:
            return Draw(anchors, np.empty(0, np.int64), np.empty((0, 0), np.int64))
        if self.pruning is None:
            partners, playlists = self.graph.draw_partners(rng, anchors)
        else:
            partners, playlists = self.pruning.draw_partners(self.graph, rng, anchors)
        neighbours = np.empty((len(anchors), 0), np.int64)
        if self.num_neighbours:
            neighbours = self.graph.draw_neighbours(rng, playlists, anchors, self.num_neighbours)
        return Draw(np.concatenate([anchors, partners]), playlists, neighbours)
