"""The reports on all rows: what lists are like, and paired differences, each derived from the files of the scores."""

import numpy as np
import polars as pl
import pytest

from larp_core.config import EvaluationConfig
from larp_core.config.settings import Settings
from larp_core.evaluation.bootstrap import paired_difference
from larp_core.evaluation.holdouts import load_holdouts
from larp_core.evaluation.list_metrics import similarity_values
from larp_core.evaluation.rankings import load_rankings
from larp_core.evaluation.vectors import load_vectors
from larp_core.graph.registry import job_named
from larp_core.report.ranked_rows import mean_intervals


def test_lists_report_has_every_row_and_metric(scored: Settings) -> None:
    report = job_named("list_metrics", scored).work()
    table = pl.read_parquet(scored.shared.reports / "list_metrics.parquet")
    assert report.num_rows == table.height
    encoder = table.filter(dataset="lfm", row="LARP-TTC", recommender="ItemKNN", k=20)
    assert encoder.height == 6 and encoder["value"].null_count() == 0
    assert table.filter(row="same artist", metric="similarity").is_empty()
    assert table.filter(row="same artist", metric="similarity_larp_wtc").height == 6
    paths = scored.paths("lfm")
    lists = load_rankings(paths.rankings("larp_ttc"), load_holdouts(paths, "test"))["ItemKNN"][0]
    slow = similarity_values(lists, *load_vectors(paths.embeddings("larp_ttc")), (20,)).mean()
    assert encoder.filter(metric="similarity")["value"][0] == pytest.approx(slow)
    assert "– |" in (scored.shared.reports / "list_metrics.md").read_text()


def test_same_artist_finds_more_artists_than_noise(scored: Settings) -> None:
    job_named("list_metrics", scored).work()
    table = pl.read_parquet(scored.shared.reports / "list_metrics.parquet").filter(metric="artist_recall", k=10)
    values = dict(table.filter(dataset="mpd").select("row", "value").iter_rows())
    assert values["same artist"] <= 1 and values["LARP-TTC"] > values["HTS-AT (untrained)"]


def test_differences_are_paired_by_playlist(scored: Settings) -> None:
    job_named("differences", scored).work()
    table = pl.read_parquet(scored.shared.reports / "differences.parquet")
    line = table.row(
        by_predicate=(pl.col("dataset") == "mpd")
        & (pl.col("row") == "LARP-TTC")
        & (pl.col("minus") == "HTS-AT (untrained)")
        & (pl.col("metric") == "recall")
        & (pl.col("k") == 10)
        & (pl.col("recommender") == "ItemKNN"),
        named=True,
    )
    values = {}
    for file in ("larp_ttc", "htsat"):
        frame = pl.read_parquet(scored.paths("mpd").scores(f"{file}_playlists"))
        values[file] = frame.filter(recommender="ItemKNN", metric="recall", k=10).sort("playlist_id")["value"]
    expected = paired_difference(values["larp_ttc"].to_numpy(), values["htsat"].to_numpy(), samples=200)
    assert (line["difference"], line["ci_low"], line["ci_high"]) == pytest.approx(expected)
    assert line["ci_low"] > 0  # the planted signal is told from noise
    assert "LARP-TTC" not in set(table["minus"]) and "caption TF-IDF" in set(table["minus"])
    text = (scored.shared.reports / "differences.md").read_text()
    assert "**+" in text


def test_means_are_over_the_playlists_that_have_a_value() -> None:
    values = np.array([[1.0, np.nan, np.nan], [0.0, np.nan, 0.5], [0.5, np.nan, np.nan]])
    first, nothing, single = mean_intervals(values, EvaluationConfig(bootstrap_samples=50))
    assert first is not None and first.mean == 0.5 and first.low < 0.5 < first.high
    assert nothing is None
    assert single is not None and tuple(single) == (0.5, 0.5, 0.5)
