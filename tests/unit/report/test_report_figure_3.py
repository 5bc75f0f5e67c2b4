"""Figure 3: its axes are scikit-learn's, its margins those of all pairs, its playlist the hash's."""

import itertools

import matplotlib.image
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from larp_core.config.encoders import FIGURE_3_ENCODERS
from larp_core.config.settings import Settings
from larp_core.evaluation.holdouts import load_holdouts
from larp_core.graph.registry import job_named
from larp_core.report.figure_3 import draw_playlist, main_axes, pair_cosine


@given(st.integers(0, 50), st.integers(3, 40), st.integers(2, 6))
def test_axes_are_the_principal_components(seed: int, size: int, width: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(size, width))
    ours, theirs = main_axes(vectors), PCA(2, svd_solver="full").fit_transform(vectors)
    assert np.abs(ours) == pytest.approx(np.abs(theirs), abs=1e-6)


def test_one_dimension_is_drawn_on_a_line() -> None:
    assert main_axes(np.array([[1.0], [3.0]])).tolist() == [[-1.0, 0.0], [1.0, 0.0]]


def test_pair_cosine_is_the_mean_over_pairs() -> None:
    unit = np.random.default_rng(0).normal(size=(6, 3))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    slow = np.mean([a @ b for a, b in itertools.combinations(unit, 2)])
    assert pair_cosine(unit) == pytest.approx(slow)
    assert np.isnan(pair_cosine(unit[:1]))


def test_picture_and_points(scored: Settings) -> None:
    report = job_named("figure_3", scored).work()
    (picture,) = report.pictures.values()
    height, width = matplotlib.image.imread(picture).shape[:2]
    assert width > 2 * height > 800
    points = pl.read_parquet(scored.shared.reports / "figure_3.parquet")
    assert points.select("dataset", "encoder").n_unique() == 2 * len(FIGURE_3_ENCODERS)
    paths = scored.paths("mpd")
    holdouts = load_holdouts(paths, "test")
    drawn = draw_playlist(holdouts, scored.recipe.evaluation.seed)
    members = {*holdouts.seeds[drawn].tolist(), *holdouts.targets[drawn].tolist()} - {91}  # which has no vector
    shown = points.filter(pl.col("is_member"), dataset="mpd", encoder="larp_ttc")["track_id"]
    assert set(shown) == members
    rows = {row["encoder"]: row for row in report.tables["Playlists in the space of each encoder, mpd"]}
    signal = rows["LARP-TTC"]
    assert signal["two of one playlist, all playlists"] > signal["any two tracks"] + 0.3
