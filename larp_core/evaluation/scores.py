"""Scores of one encoder, or of the rows without a model, on a dataset's test playlists.

Three files each: the ranked lists, every playlist's values, from which two rows can be paired, and the summary with
intervals. An encoder whose weights were missing leaves all three empty, with the reason in their footers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from larp_core.config import EvaluationConfig
from larp_core.config.paths import DatasetPaths
from larp_core.evaluation.artist_affinity import choose_shrinkage
from larp_core.evaluation.bootstrap import bootstrap_intervals
from larp_core.evaluation.checked import checked_footer
from larp_core.evaluation.holdouts import Holdouts, load_holdouts
from larp_core.evaluation.metadata_rows import metadata_frames, metadata_rankings, oracle_frame, random_frame
from larp_core.evaluation.names import ORACLE, RANDOM
from larp_core.evaluation.playlist_vectors import load_playlist_vectors
from larp_core.evaluation.rankings import Rankings, values_of, write_rankings
from larp_core.evaluation.recommenders.catalogue import recommenders_of
from larp_core.evaluation.recommenders.factors import load_factors
from larp_core.evaluation.recommenders.recommender import Inputs, Pairs, Recommender
from larp_core.evaluation.split_statistics import playlist_members
from larp_core.evaluation.vectors import load_vectors
from larp_core.graph.encoders import fuses_playlists
from larp_core.graph.job import Job, Report
from larp_core.report.score_table import MISSING, report_rows
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import write_parquet

logger = logging.getLogger(__name__)

FOOTER_KEYS = ("pretrained", MISSING)

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


def score_encoder(job: Job) -> Report:
    """Every recommender on `embeddings/<encoder>.parquet`; footers hand on whether the encoder was pretrained.

    Raises:
        UserError: no test playlist has a target, or no train track a vector; embeddings that are not what they say, see
            `checked_footer`.
    """
    holdouts = load_holdouts(job.paths, "test")
    footer = {key: value for key, value in checked_footer(job.paths, job.encoder).items() if key in FOOTER_KEYS}
    if MISSING in footer:
        write_scores(job, job.encoder, holdouts, {}, {}, footer)
        return Report(0, facts={MISSING: footer[MISSING]})
    inputs = load_inputs(job.paths, job.encoder)
    evaluation = job.recipe.evaluation
    if fuses_playlists(job):
        inputs = replace(inputs, playlists=load_playlist_vectors(job.paths.playlist_embeddings(job.encoder)))
    recommenders = recommenders_of(job.recipe, job.paths.tuning(job.encoder))
    rankings = {r.name: _ranked(r, inputs, holdouts, evaluation) for r in recommenders}
    frames = {name: values_of(lists, holdouts, evaluation.ks) for name, lists in rankings.items()}
    num_with_vector = int(np.isin(holdouts.candidates, inputs.track_ids).sum())
    facts = {"num_candidates_with_vector": num_with_vector, "vector_width": inputs.vectors.shape[1]}
    summary = write_scores(job, job.encoder, holdouts, rankings, frames, footer)
    return report_scores(job, holdouts, summary, facts)


def score_metadata_rows(job: Job) -> Report:
    """The rows random, oracle, same artist, artist + album, artist co-occurrence and caption TF-IDF.

    Random and oracle have no ranked lists: the one is an expectation, the other a bound.

    Raises:
        UserError: no test or no validation playlist has a target.
    """
    holdouts = load_holdouts(job.paths, "test")
    ks = job.recipe.evaluation.ks
    shrinkage, recalls = choose_shrinkage(job.paths)
    rankings = metadata_rankings(job.paths, holdouts, max(ks), shrinkage)
    frames = metadata_frames(rankings, holdouts, ks)
    facts = {"artist_shrinkage": shrinkage, "valid_recall_at_40_by_shrinkage": recalls}
    return report_scores(job, holdouts, write_scores(job, "metadata", holdouts, rankings, frames, {}), facts)


def load_inputs(paths: DatasetPaths, encoder: str) -> Inputs:
    """The encoder's vectors, the train pairs and WMF's factors, by ascending ids: no file's order leaks into what is
    learned. Raises ValueError as `load_vectors` does."""
    track_ids, vectors = load_vectors(paths.embeddings(encoder))
    order = np.argsort(track_ids)
    track_ids, vectors = track_ids[order], vectors[order]
    tracks = pl.read_parquet(paths.split_tracks).filter(pl.col("split") == "train")["track_id"]
    members = playlist_members(paths).filter(pl.col("split") == "train").sort("playlist_id", "track_id")
    train = Pairs(members["playlist_id"].to_numpy(), members["track_id"].to_numpy())
    is_train = np.isin(track_ids, tracks.to_numpy())
    return Inputs(track_ids, vectors, is_train, train, load_factors(paths), _validation(paths))


def _validation(paths: DatasetPaths) -> Holdouts | None:
    try:
        return load_holdouts(paths, "valid")
    except UserError:
        logger.warning("no validation playlist has a target: learned recommenders keep their last epoch")
        return None


def _ranked(recommender: Recommender, inputs: Inputs, holdouts: Holdouts, evaluation: EvaluationConfig) -> np.ndarray:
    """One list a seed and playlist: int32 [seeds, P, max(ks)]."""
    started = time.monotonic()
    num_seeds = evaluation.num_seeds if recommender.is_seeded else 1
    fitted = [recommender.fit(inputs, evaluation.seed + number) for number in range(num_seeds)]
    lists = np.stack([rank(holdouts, max(evaluation.ks)) for rank in fitted])
    logger.info("%s: fitted and ranked in %.1f s", recommender.name, time.monotonic() - started)
    return lists


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
    return pl.DataFrame(rows, schema=SUMMARY_SCHEMA, orient="row").sort("metric", "k", descending=[True, False])


def write_scores(
    job: Job,
    name: str,
    holdouts: Holdouts,
    rankings: Rankings,
    frames: Mapping[str, pl.DataFrame],
    footer: dict[str, str],
) -> pl.DataFrame:
    """Writes the three files; returns the summary."""
    evaluation = job.recipe.evaluation
    chance = random_frame(holdouts, evaluation.ks)
    summary = _stack({row: summarise(frame, chance, evaluation) for row, frame in frames.items()}, SUMMARY_SCHEMA)
    write_rankings(rankings, holdouts, evaluation.seed, job.paths.rankings(name), footer)
    write_parquet(_stack(frames, PLAYLISTS_SCHEMA), job.paths.scores(f"{name}_playlists"), metadata=footer)
    write_parquet(summary, job.paths.scores(name), metadata=footer)
    return summary


def report_scores(job: Job, holdouts: Holdouts, summary: pl.DataFrame, facts: dict[str, Any]) -> Report:
    """The summary beside random and oracle, as the web UI shows it."""
    evaluation = job.recipe.evaluation
    chance = random_frame(holdouts, evaluation.ks)
    baselines = {RANDOM: chance, ORACLE: oracle_frame(holdouts, evaluation.ks)}
    there = set(summary["recommender"])
    shown = {row: summarise(frame, chance, evaluation) for row, frame in baselines.items() if row not in there}
    table = pl.concat([_stack(shown, SUMMARY_SCHEMA), summary])
    counts = {"num_test_playlists": len(holdouts.playlist_ids), "num_candidates": len(holdouts.candidates)}
    title = f"Recall and NDCG on the test playlists [{evaluation.confidence:.0%} interval], beside chance and ceiling"
    return Report(summary.height, facts=counts | facts, tables={title: report_rows(table, "recommender")})


def _stack(frames: Mapping[str, pl.DataFrame], schema: dict[str, Any]) -> pl.DataFrame:
    """One frame with the column `recommender` in front; without any, an empty one."""
    empty = pl.DataFrame(schema={"recommender": pl.String, **schema})
    return pl.concat([empty, *(f.select(pl.lit(row).alias("recommender"), pl.all()) for row, f in frames.items())])
