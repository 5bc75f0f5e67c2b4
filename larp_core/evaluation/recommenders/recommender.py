"""What every recommender is given and gives back, and what it may learn from.

To add one, write a class with `name`, `is_seeded` and `fit` in a file of its own and list it in `catalogue`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from larp_core.evaluation.holdouts import Holdouts
from larp_core.evaluation.recommenders.factors import NO_FACTORS, Factors
from larp_core.evaluation.vectors import PlaylistVectors

Ranker = Callable[[Holdouts, int], np.ndarray]
"""`rank(holdouts, k)`: the k best candidates of each playlist given its seeds, best first: int32 [P, k], -1 where there
are fewer than k."""


@dataclass(frozen=True)
class Pairs:
    """Which track stands in which playlist: ids int32 [E] each, pairs distinct."""

    playlists: np.ndarray
    tracks: np.ndarray


NO_PAIRS = Pairs(np.empty(0, np.int32), np.empty(0, np.int32))


@dataclass(frozen=True)
class Inputs:
    """One encoder's vectors, and what may be learned from and stopped by.

    Attributes:
        track_ids: int32 [M], distinct, of all splits; need not cover any of them.
        vectors: float32 [M, D].
        is_train: bool [M].
        train: train playlists x train tracks, those without a vector too.
        factors: WMF's of those.
        valid: the validation playlists; None where none has a target.
        playlists: held-out playlists' own vectors, in place of their seeds' mean, where the recipe asks for them.
    """

    track_ids: np.ndarray
    vectors: np.ndarray
    is_train: np.ndarray
    train: Pairs = NO_PAIRS
    factors: Factors = NO_FACTORS
    valid: Holdouts | None = None
    playlists: PlaylistVectors | None = None


class Recommender(Protocol):
    """Attributes: `name` as tables show it; `is_seeded` says that chance takes part, so that seeds can be averaged."""

    @property
    def name(self) -> str: ...

    @property
    def is_seeded(self) -> bool: ...

    def fit(self, inputs: Inputs, seed: int) -> Ranker:
        """Learns from train playlists and tracks, stops by the validation playlists; the test split plays no part."""
        ...
