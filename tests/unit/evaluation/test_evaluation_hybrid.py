"""Hybrids: parts standardised as by hand, weights that are the optimum and find what is planted, test unseen."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from benchmark_world import write_embeddings

from larp_core.config.paths import DatasetPaths
from larp_core.config.settings import Settings
from larp_core.evaluation.artist_affinity import CHOICE_K, choose_shrinkage
from larp_core.evaluation.bootstrap import paired_difference
from larp_core.evaluation.holdouts import Holdouts, load_holdouts
from larp_core.evaluation.hybrid import (
    RIDGE,
    best_on,
    encoder_parts,
    fit_weights,
    rank_hybrids,
    standardised,
    weighted,
)
from larp_core.evaluation.metadata_rows import metadata_rankings
from larp_core.evaluation.names import HYBRID_ALONE, HYBRID_ENCODERS, hybrid_row
from larp_core.evaluation.ranking import ScoreChunk, rank_by, rows_of
from larp_core.evaluation.vectors import load_vectors
from larp_core.graph.registry import job_named
from larp_core.runtime.files import write_parquet
from larp_core.runtime.report import Report


@pytest.fixture
def embedded(paths: DatasetPaths) -> DatasetPaths:
    """Vectors that know the kind of music, which no artist's name of train tells of a cold track."""
    for encoder in HYBRID_ENCODERS:
        write_embeddings(paths, encoder, 3.0 if encoder == "larp_tpc" else 0.0, pretrained=False)
    return paths


def run(settings: Settings) -> Report:
    return job_named("scores/hybrid", settings, "mpd").work()


def planted(holdouts: Holdouts, seed: int, signal: float) -> ScoreChunk:
    """Noise, plus `signal` on the targets of the playlist whose seeds are asked for."""
    candidates = holdouts.in_hash_order
    of_seeds = {tuple(sorted(rows_of(candidates, s).tolist())): t for s, t in zip(holdouts.seeds, holdouts.targets)}  # noqa: B905

    def score(rows: np.ndarray, columns: np.ndarray, num_rows: int) -> np.ndarray:
        scores = np.empty((num_rows, len(candidates)))
        for row in range(num_rows):
            own = columns[rows == row]
            rng = np.random.default_rng([seed, int(own.sum())])
            targets = of_seeds[tuple(sorted(own.tolist()))]
            scores[row] = rng.normal(size=len(candidates)) + signal * np.isin(candidates, targets)
        return scores

    return score


def test_standardised_over_the_candidates_without_the_seeds() -> None:
    scores = np.array([[1.0, 2.0, 3.0, 100.0], [5.0, 5.0, 5.0, 9.0]])
    found = standardised(scores, np.array([0, 1]), np.array([3, 3]))
    own = scores[0, :3]
    assert found[0, :3] == pytest.approx((own - own.mean()) / own.std())
    assert found[1].tolist() == [0.0] * 4


def test_weights_are_the_optimum_of_the_loss_written_plainly(paths: DatasetPaths) -> None:
    holdouts = load_holdouts(paths, "valid")
    parts = [planted(holdouts, 1, 1.0), planted(holdouts, 2, 0.3), planted(holdouts, 3, 0.0)]
    candidates = holdouts.in_hash_order

    def loss(weights: np.ndarray) -> float:
        total = RIDGE / 2 * sum(w * w for w in weights)
        for seeds, targets in zip(holdouts.seeds, holdouts.targets, strict=True):
            columns = rows_of(candidates, seeds)
            left = [n for n, track in enumerate(candidates.tolist()) if track not in seeds]
            features = [part(np.zeros(len(columns), int), columns, 1)[0][left] for part in parts]
            features = [(f - f.mean()) / f.std() for f in features]
            logits = {int(candidates[n]): sum(w * f[i] for w, f in zip(weights, features)) for i, n in enumerate(left)}  # noqa: B905
            log_sum = np.log(sum(np.exp(v) for v in logits.values()))
            total += np.mean([log_sum - logits[t] for t in targets.tolist()])
        return total / len(holdouts.targets)

    weights = fit_weights(parts, holdouts)
    for index in range(3):
        for step in (-0.02, 0.02):
            assert loss(weights) < loss(weights + step * np.eye(3)[index])


def test_what_tells_more_weighs_more(paths: DatasetPaths) -> None:
    holdouts = load_holdouts(paths, "test")
    strong, weak, noise = fit_weights([planted(holdouts, n, s) for n, s in ((1, 1.5), (2, 0.5), (3, 0.0))], holdouts)
    assert strong > weak > abs(noise)


def test_lists_follow_the_weighted_sum(embedded: DatasetPaths) -> None:
    holdouts = load_holdouts(embedded, "test")
    parts = list(encoder_parts(*load_vectors(embedded.embeddings("larp_tpc")), holdouts.in_hash_order).values())
    weights = np.array([0.7, -0.2])
    ranked = rank_by(holdouts, holdouts.in_hash_order, weighted(parts, weights), 10)
    for row, seeds in enumerate(holdouts.seeds):
        columns = rows_of(holdouts.in_hash_order, seeds)
        rows = np.zeros(len(columns), int)
        scores = [standardised(part(rows, columns, 1), rows, columns)[0] for part in parts]
        total = weights @ np.stack(scores)
        total[columns] = -np.inf
        best = np.argsort(-np.round(total, 9), kind="stable")[:10]
        assert ranked[row].tolist() == holdouts.in_hash_order[best].tolist()


def test_vectors_help_where_names_tell_nothing(settings: Settings, embedded: DatasetPaths) -> None:
    captions = pl.read_parquet(embedded.captions).with_columns(caption=pl.format("song{}", "track_id"))
    write_parquet(captions, embedded.captions)
    nobody = [pl.lit(None, pl.String).alias(name) for name in ("artist_uri", "artist_name", "album_name")]
    write_parquet(pl.read_parquet(embedded.metadata).with_columns(nobody), embedded.metadata)
    run(settings)
    scores = pl.read_parquet(embedded.scores("hybrid")).filter(metric="recall", k=10)
    recall = dict(scores.select("recommender", "value").iter_rows())
    assert list(recall) == [HYBRID_ALONE, *map(hybrid_row, HYBRID_ENCODERS)]
    assert recall[hybrid_row("larp_tpc")] > recall[HYBRID_ALONE] + 0.05


def test_report_shows_weights_and_differences_that_the_files_give(settings: Settings, embedded: DatasetPaths) -> None:
    report = run(settings)
    weights = {row["hybrid"]: row for row in report.tables["Weights of the standardised parts"]}
    assert weights[HYBRID_ALONE]["vectors, seeds' mean"] is None
    assert weights[hybrid_row("larp_tpc")]["vectors, seeds' mean"] > 0
    job_named("scores/metadata", settings, "mpd").work()
    values = {name: pl.read_parquet(embedded.scores(f"{name}_playlists")) for name in ("hybrid", "metadata")}
    lines = report.tables["Paired differences on test"]
    best, rival = report.facts["best_hybrid_on_validation"], report.facts["best_metadata_row_on_validation"]
    (line,) = [line for line in lines if (line["against"], line["metric"]) == (rival, "R@40")]
    pair = [
        values[file].filter(recommender=row, metric="recall", k=40).sort("playlist_id")["value"].to_numpy()
        for file, row in (("hybrid", best), ("metadata", rival))
    ]
    expected = paired_difference(*pair, samples=200)
    assert line["difference"].startswith(f"{expected.mean:.4f} [{expected.low:.4f}")


def test_choice_and_weights_see_nothing_of_test(embedded: DatasetPaths) -> None:
    valid, test = load_holdouts(embedded, "valid"), load_holdouts(embedded, "test")
    shrinkage, _ = choose_shrinkage(embedded)
    before, _, weights = rank_hybrids(embedded, valid, test, CHOICE_K, shrinkage)
    turned = pl.col("role").replace({"seed": "target", "target": "seed"})
    roles = pl.when(pl.col("playlist_id").is_in(test.playlist_ids.tolist())).then(turned).otherwise("role")
    write_parquet(pl.read_parquet(embedded.holdouts).with_columns(role=roles), embedded.holdouts)
    after, _, same = rank_hybrids(embedded, valid, load_holdouts(embedded, "test"), CHOICE_K, shrinkage)
    assert same == weights
    assert best_on(before, valid) == best_on(after, valid)
    assert best_on(metadata_rankings(embedded, valid, CHOICE_K), valid) in metadata_rankings(embedded, valid, CHOICE_K)
