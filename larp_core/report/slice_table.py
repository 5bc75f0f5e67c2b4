"""The report on slices of the test set: recall by homogeneity, artist, audio and number of seeds shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from larp_core.config import EvaluationConfig
from larp_core.config.evaluation import ReportConfig
from larp_core.config.paths import DatasetPaths
from larp_core.config.settings import Settings
from larp_core.evaluation.holdouts import Holdouts, load_holdouts
from larp_core.evaluation.metadata_rows import metadata_rankings
from larp_core.evaluation.metrics import evaluate_ranking
from larp_core.evaluation.names import ITEMKNN, dataset_title
from larp_core.evaluation.recommenders.itemknn import rank
from larp_core.evaluation.recommenders.recommender import Ranker
from larp_core.evaluation.slices import SEEDS, fewer_seeds, rank_with_fewer, slice_recall, slices_of
from larp_core.evaluation.vectors import load_vectors
from larp_core.report.ranked_rows import RankedRow, mean_intervals, ranked_rows
from larp_core.report.score_table import write_table
from larp_core.runtime import markdown
from larp_core.runtime.report import Report

SCHEMA = {
    "dataset": pl.String,
    "row": pl.String,
    "recommender": pl.String,
    "slice": pl.String,
    "group": pl.String,
    "metric": pl.String,
    "k": pl.Int32,
    "value": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "num_playlists": pl.Int32,
}
RECALL = "recall"
ALL_SEEDS = "all seeds, playlists with {}"

LEGEND = """Homogeneity: thirds of the test playlists by the mean cosine of their tracks' audio vectors, as in table 1.
Artist in train: targets whose artist stands in no train playlist; of the others, in fewer than the median one does, or
in more. Audio: targets with and without a clip. For these two recall is that of these targets alone. Seeds shown: each
playlist is shown that many of its seeds, drawn by its own hash; targets and candidates stay the same, and beside it
stands what all seeds give on the same playlists, since those with many seeds are other playlists. In the heading's
brackets: the number of playlists that have a value; in a cell's: bootstrap intervals over playlists. A slice is a
description, not a test: many are looked at here, and some differ by chance.
"""


def build_slices(settings: Settings) -> Report:
    """Writes `reports/slices.{parquet,md}`; in the Markdown K is the smallest.

    Raises:
        UserError: lists of other playlists than the test playlists.
    """
    sections, frames, shown = ["# Slices of the test set\n"], [], {}
    first_k = min(settings.recipe.evaluation.ks)
    for dataset in settings.datasets:
        frame = slice_frame(settings.paths(dataset), settings.recipe.evaluation, settings.recipe.report)
        frames.append(frame)
        sections.append(f"## {dataset_title(settings, dataset)}\n")
        for (kind,), part in (
            frame.filter(pl.col("k") == first_k).partition_by("slice", as_dict=True, maintain_order=True).items()
        ):
            cells = _cells(part)
            shown[f"R@{first_k} by {kind}, {dataset}"] = cells
            sections.append(f"### R@{first_k} by {kind}\n")
            sections.append(markdown.table(list(cells[0]), [list(line.values()) for line in cells]))
    return write_table(settings, "slices", pl.concat(frames), "\n".join([*sections, LEGEND]), shown)


def slice_frame(paths: DatasetPaths, config: EvaluationConfig, report: ReportConfig) -> pl.DataFrame:
    """One dataset's slices, in the columns of `SCHEMA`; the seeds shown for ItemKNN and the metadata rows alone, the
    others being fitted to as many as they are scored with."""
    holdouts = load_holdouts(paths, "test")
    parts = slices_of(paths, holdouts)
    lines: list[tuple[Any, ...]] = []
    for row in ranked_rows(paths, holdouts):
        for part in parts:
            values = np.mean([slice_recall(lists, holdouts, part, config.ks) for lists in row.lists], axis=0)
            lines += _lines(paths, config, row, part.kind, part.group, values)
    lines += _seed_lines(paths, holdouts, config, report)
    return pl.DataFrame(lines, schema=SCHEMA, orient="row")


def _seed_lines(
    paths: DatasetPaths, holdouts: Holdouts, config: EvaluationConfig, report: ReportConfig
) -> Iterator[tuple[Any, ...]]:
    ks = config.ks
    rows = [row for row in ranked_rows(paths, holdouts) if row.recommender == ITEMKNN or not row.has_encoder]
    rankers = {row.file: _itemknn(paths, row.file) for row in rows if row.has_encoder}
    for count in report.seed_counts:
        drawn = fewer_seeds(holdouts, count, config.seed)
        if drawn is None:
            continue
        chosen, fewer = drawn
        metadata = _metadata_lists(paths, holdouts, chosen, fewer, max(ks))
        targets = fewer.targets
        for row in rows:
            if row.has_encoder:
                lists = rank_with_fewer(rankers[row.file], holdouts, chosen, fewer, max(ks))
            elif row.row in metadata:
                lists = metadata[row.row]
            else:
                continue
            yield from _lines(paths, config, row, SEEDS, f"{count}", evaluate_ranking(lists, targets, ks)[RECALL])
            whole = evaluate_ranking(row.lists[0][chosen], targets, ks)[RECALL]
            yield from _lines(paths, config, row, SEEDS, ALL_SEEDS.format(count), whole)


def _itemknn(paths: DatasetPaths, encoder: str) -> Ranker:
    track_ids, vectors = load_vectors(paths.embeddings(encoder))
    return lambda holdouts, k: rank(holdouts, track_ids, vectors, k)


def _metadata_lists(
    paths: DatasetPaths, holdouts: Holdouts, chosen: np.ndarray, fewer: Holdouts, k: int
) -> dict[str, np.ndarray]:
    """Metadata rows with fewer seeds, ranked once for all rows."""
    width = k + max(len(holdouts.seeds[i]) for i in chosen)
    found = metadata_rankings(paths, fewer, min(width, len(holdouts.candidates)))
    return {
        name: rank_with_fewer(lambda _, wanted, own=lists[0]: own[:, :wanted], holdouts, chosen, fewer, k)  # type: ignore[misc]
        for name, lists in found.items()
    }


def _lines(
    paths: DatasetPaths, config: EvaluationConfig, row: RankedRow, kind: str, group: str, values: np.ndarray
) -> Iterator[tuple[Any, ...]]:
    counts = (~np.isnan(values)).sum(axis=0).tolist()
    for k, interval, count in zip(config.ks, mean_intervals(values, config), counts, strict=True):
        if interval is not None:
            yield paths.dataset, row.row, row.recommender, kind, group, RECALL, k, *interval, count


def _cells(part: pl.DataFrame) -> list[dict[str, str]]:
    """One row a row of the table, one column a group, headed by the group and its number of playlists."""
    heads = {group: f"{group} ({count})" for group, count in part.select("group", "num_playlists").iter_rows()}
    rows = []
    for (row, recommender), group in part.partition_by("row", "recommender", as_dict=True, maintain_order=True).items():
        by_group = group.rows_by_key("group", named=True, unique=True)
        cells = {head: _cell(by_group.get(name)) for name, head in heads.items()}
        rows.append({"row": str(row), "recommender": str(recommender), **cells})
    return rows


def _cell(line: dict[str, Any] | None) -> str:
    if line is None:
        return markdown.number(None)
    return f"{line['value']:.3f} [{line['ci_low']:.3f}, {line['ci_high']:.3f}]"
