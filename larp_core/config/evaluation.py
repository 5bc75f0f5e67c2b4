"""How encoders are scored and reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Similarity = Literal["dot", "cosine", "centred", "whitened"]
SIMILARITIES: tuple[Similarity, ...] = ("dot", "cosine", "centred", "whitened")
"""What ItemKNN may mean by "near", see `larp_core.evaluation.recommenders.similarities`."""


@dataclass(frozen=True)
class EvaluationConfig:
    """Recall@K and NDCG@K with bootstrap intervals over playlists.

    Attributes:
        similarity: the tables' ItemKNN; the others are scored as well, as "ItemKNN (dot)" and so on.
        playlist_vector: ItemKNN's playlist by `dot` and `cosine` is the `mean` of its seeds, as the paper has it, or,
            for an encoder with a trained `fusion`, what that makes of them (`larp_core.encoders.playlists`).
        num_seeds: how often each learned recommender is fitted; a playlist's value is the mean.
        tuning_trials: settings that each recommender may try on the validation playlists, the same number for every
            cell of the tables; 0 takes the recipe's as they are.
    """

    ks: tuple[int, ...] = (10, 20, 40)
    bootstrap_samples: int = 2_000
    confidence: float = 0.95
    similarity: Similarity = "cosine"
    playlist_vector: Literal["mean", "fusion"] = "mean"
    num_seeds: int = 1
    tuning_trials: int = 0
    seed: int = 42


@dataclass(frozen=True)
class ReportConfig:
    """What the reports beside the tables look at.

    Attributes:
        seed_counts: numbers of seeds that recommenders are shown in place of all; playlists with fewer take no part.
    """

    seed_counts: tuple[int, ...] = (1, 5, 10, 30, 100)
