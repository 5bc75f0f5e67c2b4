"""Several seeds of the learned recommenders: their mean in the scores, their spread in table 2."""

import dataclasses
import statistics

import numpy as np
import polars as pl
import pytest
from benchmark_world import write_embeddings

from larp_core.config.paths import DatasetPaths
from larp_core.config.settings import Settings
from larp_core.evaluation.holdouts import load_holdouts
from larp_core.evaluation.rankings import load_rankings
from larp_core.evaluation.recommenders.catalogue import variants_of
from larp_core.graph.registry import job_named
from larp_core.report.score_table import Row, spread_over_seeds, spread_table


def recall(ranked: np.ndarray, targets: list[np.ndarray], k: int) -> float:
    return float(np.mean([len(set(r[:k]) & set(t)) / len(t) for r, t in zip(ranked, targets, strict=True)]))


def test_scores_are_means_over_seeds_and_table_2_tells_the_spread(settings: Settings, paths: DatasetPaths) -> None:
    evaluation = dataclasses.replace(settings.recipe.evaluation, num_seeds=3)
    settings = dataclasses.replace(settings, recipe=dataclasses.replace(settings.recipe, evaluation=evaluation))
    write_embeddings(paths, "clap_ft", 1.0, pretrained=False)
    job_named("scores/clap_ft", settings, "mpd").work()
    holdouts = load_holdouts(paths, "test")
    rankings = load_rankings(paths.rankings("clap_ft"), holdouts)
    assert {name: len(lists) for name, lists in rankings.items()} == {
        **{"ItemKNN": 1, "DropoutNet": 3, "CLCRec": 3},
        **dict.fromkeys(variants_of(settings.recipe.evaluation), 1),
    }
    scores = pl.read_parquet(paths.scores("clap_ft")).filter(metric="recall", k=20)
    rows = [Row("clap_ft", name, "CLAP-FT") for name in rankings]
    lines = spread_table(paths, rows, (10, 20, 40)).splitlines()[2:]
    assert len(lines) == 2
    for name, line in zip(("DropoutNet", "CLCRec"), lines, strict=True):
        by_seed = [recall(ranked, holdouts.targets, 20) for ranked in rankings[name]]
        assert len(set(by_seed)) > 1
        assert scores.filter(recommender=name)["value"][0] == pytest.approx(np.mean(by_seed))
        assert spread_over_seeds(rankings[name], holdouts.targets, (10, 20))[1] == pytest.approx(
            statistics.stdev(by_seed)
        )
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[:2] == ["CLAP-FT", name] and cells[3] == f"{statistics.stdev(by_seed):.4f}"


def test_one_seed_has_no_spread(scored: Settings) -> None:
    paths = scored.paths("mpd")
    assert spread_table(paths, [Row("clap_ft", "CLCRec"), Row("mule", "CLCRec")], (10,)) == ""
    job_named("table_2", scored).work()
    assert "over the seeds" not in (scored.shared.reports / "table_2.md").read_text(encoding="utf-8")
