"""How encoders are scored and reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from larp_core.config.section import Count, CountOrZero, Section, Seed, Within

Similarity = Literal["dot", "cosine", "centred", "whitened"]
SIMILARITIES: tuple[Similarity, ...] = ("dot", "cosine", "centred", "whitened")
"""What ItemKNN may mean by "near", see `larp_core.evaluation.recommenders.similarities`."""


@dataclass(frozen=True)
class EvaluationConfig(Section, section="evaluation"):
    """Recall@K and NDCG@K with bootstrap intervals over playlists.

    Attributes:
        similarity: the tables' ItemKNN; the others are scored as well, as "ItemKNN (dot)" and so on.
        playlist_vector: ItemKNN's playlist by `dot` and `cosine` is the `mean` of its seeds, as the paper has it, or,
            for an encoder with a trained `fusion`, what that makes of them (`larp_core.encoders.playlists`).
        num_seeds: how often each learned recommender is fitted; a playlist's value is the mean.
        tuning_trials: settings that each recommender may try on the validation playlists, the same number for every
            cell of the tables; 0 takes the recipe's as they are.
    """

    ks: tuple[Annotated[int, Within(1, 100_000)], ...] = (10, 20, 40)
    bootstrap_samples: Annotated[int, Within(1, 10_000_000)] = 2_000
    confidence: Annotated[float, Within(0, 1, above=True, below=True)] = 0.95
    similarity: Similarity = "cosine"
    playlist_vector: Literal["mean", "fusion"] = "mean"
    num_seeds: Annotated[int, Within(1, 1_000)] = 1
    tuning_trials: CountOrZero = 0
    seed: Seed = 42

    def check(self) -> None:
        self.check_ascending("ks")


@dataclass(frozen=True)
class ReportConfig(Section, section="report"):
    """What the reports beside the tables look at.

    Attributes:
        seed_counts: numbers of seeds that recommenders are shown in place of all; playlists with fewer take no part.
    """

    seed_counts: tuple[Count, ...] = (1, 5, 10, 30, 100)

    def check(self) -> None:
        self.check_ascending("seed_counts")
