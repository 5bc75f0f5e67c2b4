"""The report on what each row's lists are like: artists and albums found, coverage, novelty, similarity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from larp_core.config import EvaluationConfig
from larp_core.config.paths import DatasetPaths
from larp_core.config.settings import Settings
from larp_core.evaluation.holdouts import Holdouts, load_holdouts
from larp_core.evaluation.list_metrics import TrackFacts, coverage, list_values, similarity_values
from larp_core.evaluation.names import DISPLAY_NAMES, dataset_title
from larp_core.evaluation.split_statistics import HOMOGENEITY_ENCODER
from larp_core.evaluation.vectors import load_vectors
from larp_core.report.ranked_rows import RankedRow, mean_intervals, ranked_rows, track_facts
from larp_core.report.score_table import write_table
from larp_core.runtime import markdown
from larp_core.runtime.report import Report

COVERAGE = "coverage"
OWN_SIMILARITY = "similarity"
COMMON_SIMILARITY = f"similarity_{HOMOGENEITY_ENCODER}"
COLUMNS = {
    "artist_recall": "artist recall",
    "album_recall": "album recall",
    COVERAGE: "coverage",
    "novelty": "novelty (bits)",
    OWN_SIMILARITY: "similarity, own vectors",
    COMMON_SIMILARITY: f"similarity, {DISPLAY_NAMES[HOMOGENEITY_ENCODER]}'s vectors",
}
"""Metric: its heading."""
SCHEMA = {
    "dataset": pl.String,
    "row": pl.String,
    "recommender": pl.String,
    "metric": pl.String,
    "k": pl.Int32,
    "value": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "num_playlists": pl.Int32,
}

LEGEND = """Artist (album) recall: share of the artists (albums) of a playlist's targets that have a track in the list.
Coverage: share of the candidates that stand in at least one list; of the whole set of playlists, so without an
interval. Novelty: how little known the listed tracks' artists are, minus the base-two logarithm of the share of train
playlists that hold them. Similarity: mean cosine over all pairs of a list's tracks; by an encoder's own vectors it
can't be compared between encoders, by one encoder's for all rows it can. A dash stands where a row has no own vectors.
"""


def build_list_metrics(settings: Settings) -> Report:
    """Writes `reports/list_metrics.{parquet,md}`; in the Markdown K is the smallest.

    Raises:
        UserError: lists of other playlists than the test playlists.
    """
    sections, frames, shown = ["# What the lists are like\n"], [], {}
    first_k = min(settings.recipe.evaluation.ks)
    for dataset in settings.datasets:
        frame = list_frame(settings.paths(dataset), settings.recipe.evaluation)
        frames.append(frame)
        cells = _cells(frame.filter(pl.col("k") == first_k))
        title = dataset_title(settings, dataset)
        shown[f"{title}, first {first_k} tracks"] = cells
        header = list(cells[0]) if cells else ["row"]
        sections += [f"## {title}, first {first_k} tracks\n", markdown.table(header, [list(c.values()) for c in cells])]
    return write_table(settings, "list_metrics", pl.concat(frames), "\n".join([*sections, LEGEND]), shown)


def list_frame(paths: DatasetPaths, config: EvaluationConfig) -> pl.DataFrame:
    """One dataset's rows: `dataset, row, recommender, metric, k, value, ci_low, ci_high, num_playlists`."""
    holdouts = load_holdouts(paths, "test")
    facts = track_facts(paths, holdouts)
    common = load_vectors(paths.embeddings(HOMOGENEITY_ENCODER))
    rows = []
    for row in ranked_rows(paths, holdouts):
        own = load_vectors(paths.embeddings(row.file)) if row.has_encoder else None
        values = _values(row, holdouts, facts, own, common, config.ks)
        rows += [(paths.dataset, row.row, row.recommender, *line) for line in _lines(config, row, holdouts, values)]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _values(
    row: RankedRow,
    holdouts: Holdouts,
    facts: TrackFacts,
    own: tuple[np.ndarray, np.ndarray] | None,
    common: tuple[np.ndarray, np.ndarray],
    ks: Sequence[int],
) -> dict[str, np.ndarray]:
    """Metric -> float64 [P, len(ks)]: means over the seeds of a recommender that chance takes part in."""
    by_seed = []
    for ranked in row.lists:
        values = list_values(ranked, holdouts.targets, facts, ks)
        if own is not None:
            values[OWN_SIMILARITY] = similarity_values(ranked, *own, ks)
        values[COMMON_SIMILARITY] = similarity_values(ranked, *common, ks)
        by_seed.append(values)
    return {metric: np.mean([values[metric] for values in by_seed], axis=0) for metric in by_seed[0]}


def _lines(
    config: EvaluationConfig, row: RankedRow, holdouts: Holdouts, values: dict[str, np.ndarray]
) -> Iterator[tuple[str, int, float | None, float | None, float | None, int]]:
    ks = config.ks
    shown = np.mean([coverage(ranked, len(holdouts.candidates), ks) for ranked in row.lists], axis=0)
    intervals = mean_intervals(np.concatenate(list(values.values()), axis=1), config)
    counts = (~np.isnan(np.concatenate(list(values.values()), axis=1))).sum(axis=0).tolist()
    keys = [(metric, k) for metric in values for k in ks]
    for (metric, k), interval, count in zip(keys, intervals, counts, strict=True):
        yield (metric, k, *(interval or (None, None, None)), count)
    for k, value in zip(ks, shown.tolist(), strict=True):
        yield COVERAGE, k, value, None, None, len(holdouts.playlist_ids)


def _cells(frame: pl.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for (row, recommender), group in frame.partition_by(
        "row", "recommender", as_dict=True, maintain_order=True
    ).items():
        by_metric = group.rows_by_key("metric", named=True, unique=True)
        cells = {heading: _cell(by_metric.get(metric)) for metric, heading in COLUMNS.items()}
        rows.append({"row": row, "recommender": recommender, **cells})
    return rows


def _cell(line: dict[str, Any] | None) -> str:
    if line is None or line["value"] is None:
        return markdown.number(None)
    if line["ci_low"] is None:
        return markdown.number(line["value"], 3)
    return f"{line['value']:.3f} [{line['ci_low']:.3f}, {line['ci_high']:.3f}]"
