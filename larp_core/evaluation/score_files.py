"""Score files: what they are called, what they hold, and what of it the web UI shows.

Three files each: the ranked lists, every playlist's values, from which two rows can be paired, and the summary with
intervals. An encoder whose weights were missing leaves all three empty, with the reason in their footers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from larp_core.config import EvaluationConfig
from larp_core.config.paths import DatasetPaths
from larp_core.evaluation.bootstrap import bootstrap_intervals
from larp_core.evaluation.holdouts import Holdouts
from larp_core.evaluation.metadata_rows import oracle_frame, random_frame
from larp_core.evaluation.names import ORACLE, RANDOM
from larp_core.evaluation.rankings import Rankings, write_rankings
from larp_core.runtime import markdown
from larp_core.runtime.files import write_parquet
from larp_core.runtime.report import Report

METADATA = "metadata"
HYBRID = "hybrid"
WITHOUT_RECOMMENDER = (METADATA, HYBRID)
"""Files of rows that are no encoder under a recommender: their column `recommender` holds the rows' own names."""
NO_RECOMMENDER = "–"
METRIC_LETTERS = {"recall": "R", "ndcg": "N"}

SUMMARY_SCHEMA = {
    "metric": pl.String,
    "k": pl.Int32,
    "value": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "num_playlists": pl.Int32,
    "seed": pl.Int64,
    "at_chance": pl.Boolean,
}
PLAYLISTS_SCHEMA = {"playlist_id": pl.Int32, "metric": pl.String, "k": pl.Int32, "value": pl.Float64}


def summarise(frame: pl.DataFrame, chance: pl.DataFrame, config: EvaluationConfig) -> pl.DataFrame:
    """Mean and bootstrap interval of one recommender's per-playlist values.

    Args:
        frame: `playlist_id, metric, k, value`.
        chance: the same for the random row, on the same playlists.

    Returns:
        `metric, k, value, ci_low, ci_high, num_playlists, seed, at_chance`. `seed` is the bootstrap's; `at_chance` says
        that the interval holds the random row's mean, or lies below it.
    """
    groups = frame.sort("playlist_id").partition_by("metric", "k", as_dict=True, maintain_order=True)
    intervals = bootstrap_intervals(
        np.stack([group["value"].to_numpy() for group in groups.values()], axis=1),
        samples=config.bootstrap_samples,
        confidence=config.confidence,
        seed=config.seed,
    )
    levels = {(metric, k): level for metric, k, level in chance.group_by("metric", "k").agg(pl.mean("value")).rows()}
    rows = [
        (*key, *interval, len(group), config.seed, interval.low <= levels[key[0], key[1]])
        for (key, group), interval in zip(groups.items(), intervals, strict=True)
    ]
    return pl.DataFrame(rows, schema=SUMMARY_SCHEMA, orient="row").sort("metric", "k", descending=[True, False])


def write_scores(
    paths: DatasetPaths,
    config: EvaluationConfig,
    name: str,
    holdouts: Holdouts,
    rankings: Rankings,
    frames: Mapping[str, pl.DataFrame],
    footer: dict[str, str],
) -> pl.DataFrame:
    """Writes the three files; returns the summary."""
    chance = random_frame(holdouts, config.ks)
    summary = _stack({row: summarise(frame, chance, config) for row, frame in frames.items()}, SUMMARY_SCHEMA)
    write_rankings(rankings, holdouts, config.seed, paths.rankings(name), footer)
    write_parquet(_stack(frames, PLAYLISTS_SCHEMA), paths.scores(f"{name}_playlists"), metadata=footer)
    write_parquet(summary, paths.scores(name), metadata=footer)
    return summary


def report_scores(config: EvaluationConfig, holdouts: Holdouts, summary: pl.DataFrame, facts: dict[str, Any]) -> Report:
    """The summary beside random and oracle, as the web UI shows it."""
    chance = random_frame(holdouts, config.ks)
    baselines = {RANDOM: chance, ORACLE: oracle_frame(holdouts, config.ks)}
    there = set(summary["recommender"])
    shown = {row: summarise(frame, chance, config) for row, frame in baselines.items() if row not in there}
    table = pl.concat([_stack(shown, SUMMARY_SCHEMA), summary])
    counts = {"num_test_playlists": len(holdouts.playlist_ids), "num_candidates": len(holdouts.candidates)}
    title = f"Recall and NDCG on the test playlists [{config.confidence:.0%} interval], beside chance and ceiling"
    return Report(summary.height, facts=counts | facts, tables={title: report_rows(table, "recommender")})


def report_rows(scores: pl.DataFrame, *names: str) -> list[dict[str, str]]:
    """The web UI's form: one row a name, one column a metric and K, with intervals and the tables' asterisk.

    `names` are the columns that together name a row.
    """
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for line in scores.iter_rows(named=True):
        key = {name: line[name] for name in names}
        row = rows.setdefault(tuple(key.values()), key)
        is_marked = line["at_chance"] and line[names[0]] != RANDOM
        row[f"{METRIC_LETTERS[line['metric']]}@{line['k']}"] = with_interval(line) + ("*" if is_marked else "")
    return list(rows.values())


def with_interval(line: Mapping[str, Any]) -> str:
    """A line's value and its interval; a dash where an encoder has none."""
    if line["value"] is None:
        return markdown.number(None)
    return markdown.with_interval(line["value"], line["ci_low"], line["ci_high"])


def _stack(frames: Mapping[str, pl.DataFrame], schema: dict[str, Any]) -> pl.DataFrame:
    """One frame with the column `recommender` in front; without any, an empty one."""
    empty = pl.DataFrame(schema={"recommender": pl.String, **schema})
    return pl.concat([empty, *(f.select(pl.lit(row).alias("recommender"), pl.all()) for row, f in frames.items())])
