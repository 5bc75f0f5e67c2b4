"""The hybrid rows: an encoder's vectors and the metadata combined, with weights fitted on validation; and the same
without an encoder, which tells what the vectors add.

Which hybrid with vectors and which metadata row are compared at the end is chosen by validation too. The test split is
scored once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from larp_core.config.paths import DatasetPaths
from larp_core.evaluation.artist_affinity import CHOICE_K, choose_shrinkage
from larp_core.evaluation.bootstrap import Interval, paired_difference
from larp_core.evaluation.holdouts import Holdouts, load_holdouts
from larp_core.evaluation.hybrid_fit import fit_weights, weighted
from larp_core.evaluation.hybrid_parts import Parts, encoder_parts, metadata_parts
from larp_core.evaluation.metadata_rows import metadata_rankings
from larp_core.evaluation.names import HYBRID_ALONE, HYBRID_ENCODERS, hybrid_row
from larp_core.evaluation.ranking import rank_by
from larp_core.evaluation.rankings import Rankings, values_of
from larp_core.evaluation.scores import report_scores, write_scores
from larp_core.evaluation.vectors import load_vectors
from larp_core.graph.job import Job, Report
from larp_core.report.score_table import HYBRID
from larp_core.runtime import markdown


def score_hybrids(job: Job) -> Report:
    """Writes `scores/hybrid.parquet` and its companions; the report has the weights and the paired differences.

    Raises:
        UserError: no test or no validation playlist has a target.
    """
    paths, ks = job.paths, job.recipe.evaluation.ks
    valid, test = load_holdouts(paths, "valid"), load_holdouts(paths, "test")
    shrinkage, _ = choose_shrinkage(paths)
    valid_lists, test_lists, weights = rank_hybrids(paths, valid, test, max(*ks, CHOICE_K), shrinkage)
    test_lists = {row: lists[:, :, : max(ks)] for row, lists in test_lists.items()}
    frames = {row: values_of(lists, test, ks) for row, lists in test_lists.items()}
    rivals_valid = metadata_rankings(paths, valid, CHOICE_K, shrinkage)
    with_vectors = {row: lists for row, lists in valid_lists.items() if row != HYBRID_ALONE}
    best, rival = best_on(with_vectors, valid), best_on(rivals_valid, valid)
    alone = values_of(metadata_rankings(paths, test, max(ks), shrinkage)[rival], test, ks)
    against = [(rival, alone), (HYBRID_ALONE, frames[HYBRID_ALONE])]
    differences = [_difference(job, best, frames[best], row, other, k) for row, other in against for k in ks]
    facts = {"best_hybrid_on_validation": best, "best_metadata_row_on_validation": rival}
    report = report_scores(job, test, write_scores(job, HYBRID, test, test_lists, frames, {}), facts)
    tables = {"Weights of the standardised parts": _weight_rows(weights), "Paired differences on test": differences}
    return Report(report.num_rows, report.facts, report.tables | tables)


def rank_hybrids(
    paths: DatasetPaths, valid: Holdouts, test: Holdouts, k: int, shrinkage: float
) -> tuple[Rankings, Rankings, dict[str, dict[str, float]]]:
    """Lists int32 [1, P, k] of every hybrid on validation and on test, and the weights of its parts, by its name."""
    common = [metadata_parts(paths, holdouts.in_hash_order, shrinkage) for holdouts in (valid, test)]
    added: dict[str, list[Parts]] = {HYBRID_ALONE: [{}, {}]}
    for encoder in HYBRID_ENCODERS:
        track_ids, vectors = load_vectors(paths.embeddings(encoder))
        added[hybrid_row(encoder)] = [encoder_parts(track_ids, vectors, h.in_hash_order) for h in (valid, test)]
    lists: tuple[Rankings, Rankings] = ({}, {})
    weights = {}
    for row, extra in added.items():
        parts = [both | own for both, own in zip(common, extra, strict=True)]
        fitted = fit_weights(list(parts[0].values()), valid)
        weights[row] = dict(zip(parts[0], fitted.tolist(), strict=True))
        for side, holdouts, split_parts in zip(lists, (valid, test), parts, strict=True):
            score = weighted(list(split_parts.values()), fitted)
            side[row] = rank_by(holdouts, holdouts.in_hash_order, score, k)[None]
    return *lists, weights


def best_on(rankings: Rankings, holdouts: Holdouts) -> str:
    """The row with the highest Recall@40, the first among equals."""
    recalls = {row: _recall(values_of(lists, holdouts, [CHOICE_K]), CHOICE_K) for row, lists in rankings.items()}
    return max(recalls, key=lambda row: round(float(recalls[row].mean()), 9))


def _recall(frame: pl.DataFrame, k: int) -> np.ndarray:
    """Each playlist's Recall@k, in the order of their ids."""
    return frame.filter(metric="recall", k=k).sort("playlist_id")["value"].to_numpy()


def _difference(job: Job, best: str, values: pl.DataFrame, row: str, others: pl.DataFrame, k: int) -> dict[str, str]:
    evaluation = job.recipe.evaluation
    interval: Interval = paired_difference(
        _recall(values, k),
        _recall(others, k),
        samples=evaluation.bootstrap_samples,
        confidence=evaluation.confidence,
        seed=evaluation.seed,
    )
    return {"row": best, "against": row, "metric": f"R@{k}", "difference": markdown.with_interval(*interval)}


def _weight_rows(weights: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    names = list(dict.fromkeys(name for row in weights.values() for name in row))
    return [{"hybrid": row} | {name: found.get(name) for name in names} for row, found in weights.items()]
