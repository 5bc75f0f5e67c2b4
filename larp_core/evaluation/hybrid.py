"""The hybrid rows: an encoder's vectors and the metadata combined, with weights fitted on validation; and the same
without an encoder, which tells what the vectors add.

The parts are standardised scores, each told apart by a name, and weighed by a conditional logit: the chance that a
playlist goes on with one of its candidates is the softmax, over all its candidates, of a weighted sum of the parts
(McFadden 1974; with one weight a part there is little to overfit). No part knows which tracks are targets.

Which hybrid with vectors and which metadata row are compared at the end is chosen by validation too. The test split is
scored once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from larp_core.config import EvaluationConfig
from larp_core.config.paths import DatasetPaths
from larp_core.evaluation.artist_affinity import CHOICE_K, artist_affinity_score, choose_shrinkage
from larp_core.evaluation.bootstrap import Interval, paired_difference
from larp_core.evaluation.holdouts import Holdouts, load_holdouts
from larp_core.evaluation.metadata_keys import track_keys
from larp_core.evaluation.metadata_rows import captions_of, metadata_rankings, shared_key_score, tfidf_scores
from larp_core.evaluation.names import HYBRID_ALONE, HYBRID_ENCODERS, hybrid_row
from larp_core.evaluation.ranking import ScoreChunk, rank_by, rows_of
from larp_core.evaluation.rankings import Rankings, values_of
from larp_core.evaluation.recommenders.nearest_seed import nearest_seed_score, unit_vectors
from larp_core.evaluation.score_files import HYBRID, report_scores, write_scores
from larp_core.evaluation.vectors import load_vectors
from larp_core.runtime import markdown
from larp_core.runtime.hashing import hash_ids
from larp_core.runtime.report import Report

WORDS_AND_PAIRS = (1, 2)
RIDGE = 10.0
"""Penalty on squared weights, in playlists: it counts as much less as there are more of them."""
MAX_PLAYLISTS = 300
"""A handful of weights needs no more; all candidates of each are held in memory."""
SCORE_DECIMALS = 9

Parts = dict[str, ScoreChunk]
"""Name: scores of a few playlists' candidates, which stand in hash order."""


def score_hybrids(paths: DatasetPaths, config: EvaluationConfig) -> Report:
    """Writes `scores/hybrid.parquet` and its companions; the report has the weights and the paired differences.

    Raises:
        UserError: no test or no validation playlist has a target.
    """
    ks = config.ks
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
    differences = [_difference(config, best, frames[best], row, other, k) for row, other in against for k in ks]
    facts = {"best_hybrid_on_validation": best, "best_metadata_row_on_validation": rival}
    summary = write_scores(paths, config, HYBRID, test, test_lists, frames, {})
    report = report_scores(config, test, summary, facts)
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


def metadata_parts(paths: DatasetPaths, candidates: np.ndarray, shrinkage: float) -> Parts:
    """Seeds by the same artist and of the same album (logarithms of their numbers), the seeds' artists' affinity to
    other ones, and TF-IDF over words and pairs of words: to the seeds' mean, and to the nearest of them."""
    artists, albums = track_keys(paths, candidates)
    mean, nearest = tfidf_scores(*captions_of(paths, candidates), ngrams=WORDS_AND_PAIRS)
    return {
        "same artist": _logarithm(shared_key_score([artists])),
        "same album": _logarithm(shared_key_score([albums])),
        "artists that share playlists": artist_affinity_score(paths, candidates, shrinkage, own=0.0),
        "words, seeds' mean": mean,
        "words, nearest seed": nearest,
    }


def encoder_parts(track_ids: np.ndarray, vectors: np.ndarray, candidates: np.ndarray) -> Parts:
    """Cosine to the mean of the seeds' vectors, and to the nearest seed's; what has no vector scores 0."""
    unit, known = unit_vectors(track_ids, vectors, candidates)
    nearest = nearest_seed_score(unit, np.ones(len(known), bool))
    return {"vectors, seeds' mean": _mean_score(unit), "vectors, nearest seed": nearest}


def standardised(scores: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Each playlist's scores [rows, N] with mean 0 and deviation 1 over its candidates, its seeds not counted; zeros
    where all are alike."""
    counts = np.ones_like(scores)
    counts[rows, columns] = 0.0
    number = np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    centred = scores - (scores * counts).sum(axis=1, keepdims=True) / number
    deviation = np.sqrt((centred**2 * counts).sum(axis=1, keepdims=True) / number)
    return np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 1e-9)


def weighted(parts: Sequence[ScoreChunk], weights: np.ndarray) -> ScoreChunk:
    """The hybrid's score: the weighted sum of the standardised parts."""

    def score(rows: np.ndarray, columns: np.ndarray, num_rows: int) -> np.ndarray:
        total = sum(
            weight * standardised(part(rows, columns, num_rows), rows, columns)
            for part, weight in zip(parts, weights.tolist(), strict=True)
        )
        return np.round(np.asarray(total), SCORE_DECIMALS)

    return score


def fit_weights(parts: Sequence[ScoreChunk], holdouts: Holdouts, ridge: float = RIDGE) -> np.ndarray:
    """One weight a part, float64 [K]: the least mean, over playlists, of the targets' mean negative log probability,
    plus ridge / (2 P) times the sum of squares. Convex, so the same for the same data. Of more than `MAX_PLAYLISTS`
    playlists those count whose ids have the lowest hashes."""
    from scipy.optimize import minimize

    playlists = [_playlist(parts, holdouts, row) for row in _chosen(holdouts)]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        total, slope = ridge / 2 * float(weights @ weights), ridge * weights
        for features, is_target in playlists:
            logits = features @ weights
            logits -= logits.max()
            chances = np.exp(logits)
            chances /= chances.sum()
            total -= float(np.log(chances[is_target]).mean())
            slope = slope - features[is_target].mean(axis=0) + chances @ features
        return total / len(playlists), slope / len(playlists)

    return np.asarray(minimize(loss, np.zeros(len(parts)), jac=True, method="L-BFGS-B").x)


def _recall(frame: pl.DataFrame, k: int) -> np.ndarray:
    """Each playlist's Recall@k, in the order of their ids."""
    return frame.filter(metric="recall", k=k).sort("playlist_id")["value"].to_numpy()


def _difference(
    config: EvaluationConfig, best: str, values: pl.DataFrame, row: str, others: pl.DataFrame, k: int
) -> dict[str, str]:
    interval: Interval = paired_difference(
        _recall(values, k),
        _recall(others, k),
        samples=config.bootstrap_samples,
        confidence=config.confidence,
        seed=config.seed,
    )
    return {"row": best, "against": row, "metric": f"R@{k}", "difference": markdown.with_interval(*interval)}


def _weight_rows(weights: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    names = list(dict.fromkeys(name for row in weights.values() for name in row))
    return [{"hybrid": row} | {name: found.get(name) for name in names} for row, found in weights.items()]


def _mean_score(unit: np.ndarray) -> ScoreChunk:
    def score(rows: np.ndarray, columns: np.ndarray, num_rows: int) -> np.ndarray:
        sums = np.zeros((num_rows, unit.shape[1]))
        np.add.at(sums, rows, unit[columns])
        sizes = np.linalg.norm(sums, axis=1, keepdims=True)
        return np.divide(sums, sizes, out=np.zeros_like(sums), where=sizes > 0) @ unit.T

    return score


def _logarithm(counts: ScoreChunk) -> ScoreChunk:
    return lambda rows, columns, num_rows: np.log1p(counts(rows, columns, num_rows))


def _chosen(holdouts: Holdouts) -> np.ndarray:
    """Rows of the playlists that have a seed, at most `MAX_PLAYLISTS`, ascending."""
    seeded = np.flatnonzero([len(seeds) > 0 for seeds in holdouts.seeds])
    hashes = hash_ids(map(str, holdouts.playlist_ids[seeded].tolist()), 0, "playlists of a fit")
    return np.sort(seeded[np.argsort(hashes, kind="stable")[:MAX_PLAYLISTS]])


def _playlist(parts: Sequence[ScoreChunk], holdouts: Holdouts, row: int) -> tuple[np.ndarray, np.ndarray]:
    """A playlist's candidates but its seeds: their standardised parts float64 [N, K], and which are targets."""
    candidates = holdouts.in_hash_order
    columns = rows_of(candidates, holdouts.seeds[row])
    rows = np.zeros(len(columns), np.int64)
    features = np.stack([standardised(part(rows, columns, 1), rows, columns)[0] for part in parts], axis=1)
    is_target = np.isin(candidates, holdouts.targets[row])
    left = np.delete(np.arange(len(candidates)), columns)
    return features[left], is_target[left]
