"""Scores of one encoder, or of the rows without a model, on a dataset's test playlists.

Two files each: the summary with intervals, and every playlist's values, from which the summary can be derived again
and two rows can be paired.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from larp_core.benchmark.bootstrap import bootstrap_intervals
from larp_core.benchmark.holdouts import Holdouts, load_holdouts
from larp_core.benchmark.itemknn import evaluate_itemknn
from larp_core.benchmark.metadata_rows import metadata_frames, oracle_frame, random_frame
from larp_core.benchmark.names import ITEMKNN, ORACLE, RANDOM
from larp_core.benchmark.score_table import report_rows
from larp_core.benchmark.vectors import load_vectors
from larp_core.config import EvaluationConfig
from larp_core.files import write_parquet
from larp_core.steps import Job, Report

FOOTER_KEYS = ("pretrained",)


def score_encoder(job: Job) -> Report:
    """ItemKNN on `embeddings/<encoder>.parquet`; the summary's footer hands on whether the encoder was pretrained.

    Raises:
        UserError: no test playlist has a target.
        ValueError: vectors that are not finite or not of one length.
    """
    holdouts = load_holdouts(job.paths, "test")
    embeddings = job.paths.embeddings(job.encoder)
    track_ids, vectors = load_vectors(embeddings)
    ks = job.recipe.evaluation.ks
    frames = {ITEMKNN: evaluate_itemknn(holdouts, track_ids, vectors, ks)}
    footer = {key: value for key, value in pl.read_parquet_metadata(embeddings).items() if key in FOOTER_KEYS}
    num_with_vector = int(np.isin(holdouts.candidates, track_ids).sum())
    facts = {"num_candidates_with_vector": num_with_vector, "vector_width": vectors.shape[1]}
    return _write_scores(job, job.encoder, holdouts, frames, facts, footer)


def score_metadata_rows(job: Job) -> Report:
    """The rows random, oracle, same artist, artist + album and caption TF-IDF; errors as `score_encoder`'s."""
    holdouts = load_holdouts(job.paths, "test")
    frames = metadata_frames(job.paths, holdouts, job.recipe.evaluation.ks)
    return _write_scores(job, "metadata", holdouts, frames, {}, {})


def summarise(frame: pl.DataFrame, chance: pl.DataFrame, evaluation: EvaluationConfig) -> pl.DataFrame:
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
        samples=evaluation.bootstrap_samples,
        confidence=evaluation.confidence,
        seed=evaluation.seed,
    )
    levels = {(metric, k): level for metric, k, level in chance.group_by("metric", "k").agg(pl.mean("value")).rows()}
    rows = [
        (*key, *interval, len(group), evaluation.seed, interval.low <= levels[key[0], key[1]])
        for (key, group), interval in zip(groups.items(), intervals, strict=True)
    ]
    schema = {
        "metric": pl.String,
        "k": pl.Int32,
        "value": pl.Float64,
        "ci_low": pl.Float64,
        "ci_high": pl.Float64,
        "num_playlists": pl.Int32,
        "seed": pl.Int64,
        "at_chance": pl.Boolean,
    }
    return pl.DataFrame(rows, schema=schema, orient="row").sort("metric", "k", descending=[True, False])


def _write_scores(
    job: Job,
    name: str,
    holdouts: Holdouts,
    frames: dict[str, pl.DataFrame],
    facts: dict[str, Any],
    footer: dict[str, str],
) -> Report:
    evaluation = job.recipe.evaluation
    chance = random_frame(holdouts, evaluation.ks)
    summary = _stack({row: summarise(frame, chance, evaluation) for row, frame in frames.items()})
    write_parquet(summary, job.paths.scores(name), metadata=footer)
    write_parquet(_stack(frames), job.paths.scores(f"{name}_playlists"))
    baselines = {RANDOM: chance, ORACLE: oracle_frame(holdouts, evaluation.ks)}
    shown = {row: summarise(frame, chance, evaluation) for row, frame in baselines.items() if row not in frames}
    table = pl.concat([_stack(shown), summary]) if shown else summary
    counts = {"num_test_playlists": len(holdouts.playlist_ids), "num_candidates": len(holdouts.candidates)}
    title = f"Recall and NDCG on the test playlists [{evaluation.confidence:.0%} interval], beside chance and ceiling"
    return Report(summary.height, facts=counts | facts, tables={title: report_rows(table, "recommender")})


def _stack(frames: dict[str, pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(frame.select(pl.lit(row).alias("recommender"), pl.all()) for row, frame in frames.items())
