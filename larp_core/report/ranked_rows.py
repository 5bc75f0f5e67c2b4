"""Every row of the tables that has ranked lists, and what the reports need to know of its tracks and playlists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from larp_core.config import EvaluationConfig
from larp_core.config.encoders import SCORE_FILES
from larp_core.config.paths import DatasetPaths
from larp_core.evaluation.bootstrap import Interval, bootstrap_intervals
from larp_core.evaluation.holdouts import Holdouts
from larp_core.evaluation.list_metrics import TrackFacts, surprise_of
from larp_core.evaluation.metadata_keys import artist_popularity
from larp_core.evaluation.names import ITEMKNN, row_name
from larp_core.evaluation.rankings import load_rankings
from larp_core.evaluation.score_files import NO_RECOMMENDER, WITHOUT_RECOMMENDER


@dataclass(frozen=True)
class RankedRow:
    """One row of a table: its name and recommender as shown, the file it comes from, its lists int32 [seeds, P, K]."""

    row: str
    recommender: str
    file: str
    lists: np.ndarray

    @property
    def has_encoder(self) -> bool:
        return self.recommender != NO_RECOMMENDER


def ranked_rows(paths: DatasetPaths, holdouts: Holdouts) -> Iterator[RankedRow]:
    """In the order of the score steps; without ItemKNN's variants, and without encoders whose weights were missing.

    Raises:
        UserError: lists of other playlists than the holdouts'.
    """
    for file in SCORE_FILES:
        path = paths.rankings(file)
        is_pretrained = pl.read_parquet_metadata(path).get("pretrained") == "true"
        for recommender, lists in load_rankings(path, holdouts).items():
            if recommender.startswith(f"{ITEMKNN} ("):
                continue
            if file in WITHOUT_RECOMMENDER:
                yield RankedRow(recommender, NO_RECOMMENDER, file, lists)
            else:
                yield RankedRow(row_name(file, pretrained=is_pretrained), recommender, file, lists)


def track_facts(paths: DatasetPaths, holdouts: Holdouts) -> TrackFacts:
    artists, albums, popularity, num_train_playlists = artist_popularity(paths, holdouts.candidates)
    return TrackFacts(holdouts.candidates, artists, albums, surprise_of(popularity, num_train_playlists))


def mean_intervals(values: np.ndarray, evaluation: EvaluationConfig) -> list[Interval | None]:
    """Mean and bootstrap interval of each column of [P, M] over the playlists that have a value; None without any."""
    has_value = ~np.isnan(values)
    intervals: list[Interval | None] = [None] * values.shape[1]
    patterns = {mask.tobytes(): mask for mask in has_value.T if mask.any()}
    for key, mask in patterns.items():
        columns = [c for c in range(values.shape[1]) if has_value[:, c].tobytes() == key]
        found = bootstrap_intervals(
            values[mask][:, columns],
            samples=evaluation.bootstrap_samples,
            confidence=evaluation.confidence,
            seed=evaluation.seed,
        )
        for column, interval in zip(columns, found, strict=True):
            intervals[column] = interval
    return intervals
