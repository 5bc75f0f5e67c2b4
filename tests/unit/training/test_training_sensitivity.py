"""Figure 4's trainings: the recipe's own number gives what the stage itself gives; both splits; the picture."""

from pathlib import Path

import matplotlib.image
import polars as pl
import pytest
from training_world import NUM_TRACKS, write_world

from larp_core.config.settings import Settings
from larp_core.graph import memo
from larp_core.graph.encoders import NEIGHBOUR_COUNTS
from larp_core.graph.registry import job_named
from larp_core.report.figure_4 import build_figure_4
from larp_core.runtime.files import read_json, write_parquet


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The training world, trained to the end; its second held-out playlist with its tracks is the test split."""
    settings = write_world(tmp_path_factory.mktemp("sensitive"))
    paths = settings.paths("mpd")
    tested = pl.read_parquet(paths.holdouts).filter(pl.col("playlist_id") == 101)["track_id"].to_list()
    assert min(tested) >= NUM_TRACKS
    for path, key, values in ((paths.split_tracks, "track_id", tested), (paths.split_playlists, "playlist_id", [101])):
        is_test = pl.col(key).is_in(values)
        split = pl.when(is_test).then(pl.lit("test")).otherwise("split").alias("split")
        write_parquet(pl.read_parquet(path).with_columns(split), path)
    for name in ("larp_wtc", "larp_ttc", "larp_tpc_fusion", *(f"sensitivity/j_{count}" for count in NEIGHBOUR_COUNTS)):
        memo.run(job_named(name, settings, "mpd"))
    return settings


def test_the_recipes_own_number_gives_what_the_stage_gives(settings: Settings) -> None:
    paths = settings.paths("mpd")
    assert settings.recipe.training.num_neighbours == 10
    record = read_json(paths.model("larp_tpc_fusion") / "training.json")
    best = record["curve"][record["best_epoch"]]["valid_recall_at_10"]
    scores = pl.read_parquet(paths.sensitivity("j_10")).filter(split="valid", metric="recall", k=10)
    assert scores["value"].mean() == pytest.approx(best)


def test_both_splits_are_scored_and_no_state_or_model_is_left(settings: Settings) -> None:
    paths = settings.paths("mpd")
    for count in NEIGHBOUR_COUNTS:
        scores = pl.read_parquet(paths.sensitivity(f"j_{count}"))
        playlists = dict(scores.select("split", "playlist_id").unique().iter_rows())
        assert playlists == {"valid": 100, "test": 101}
    assert not list(paths.model("x").parent.glob("*.state"))
    assert {path.name for path in paths.model("x").parent.iterdir() if path.suffix == ""} == {
        "larp_wtc",
        "larp_ttc",
        "larp_tpc_fusion",
    }


def test_picture_and_points(settings: Settings) -> None:
    report = build_figure_4(settings)
    points = pl.read_parquet(settings.shared.reports / "figure_4.parquet")
    assert report.num_rows == points.height == 2 * len(NEIGHBOUR_COUNTS)
    for line in points.iter_rows(named=True):
        path = settings.paths("mpd").sensitivity(f"j_{line['num_neighbours']}")
        scores = pl.read_parquet(path).filter(split=line["split"], metric="recall", k=10)
        assert line["value"] == pytest.approx(scores["value"].mean())
    height, width = matplotlib.image.imread(Path(next(iter(report.pictures.values())))).shape[:2]
    assert min(height, width) > 400
