"""WMF: `implicit` and our SGD against the loss written out, against a step done pair by pair, and on planted taste."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from larp_core.config.paths import DatasetPaths
from larp_core.config.recommenders import WmfConfig
from larp_core.config.settings import Settings
from larp_core.evaluation.recommenders.factors import load_factors
from larp_core.evaluation.recommenders.wmf import als, factorise, fit_wmf, sgd, sgd_step
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import write_parquet

SHAPE = (40, 60)
ALS = WmfConfig(solver="als", width=4, epochs=20, observed_weight=8.0, l2=0.5)
SGD = WmfConfig(solver="sgd", width=4, epochs=150, batch_size=64, learning_rate=0.02, l2=0.02)


def planted(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct pairs of playlist and track of one of four kinds, and the pairs of like kind that were held back."""
    rng = np.random.default_rng(seed)
    alike = np.argwhere(np.arange(SHAPE[0])[:, None] % 4 == np.arange(SHAPE[1])[None, :] % 4)
    rng.shuffle(alike)
    known, held_back = alike[: len(alike) * 2 // 3], alike[len(alike) * 2 // 3 :]
    return known[:, 0], known[:, 1], held_back


def loss_of(factors: tuple[np.ndarray, np.ndarray], playlists: np.ndarray, tracks: np.ndarray, c: WmfConfig) -> float:
    observed, total = set(zip(playlists.tolist(), tracks.tolist(), strict=True)), 0.0
    for p, playlist in enumerate(factors[0]):
        for t, track in enumerate(factors[1]):
            seen = (p, t) in observed
            total += (c.observed_weight if seen else 1.0) * (seen - float(playlist @ track)) ** 2
    return total + c.l2 * sum(float((table**2).sum()) for table in factors)


def test_als_stands_where_no_single_row_can_do_better() -> None:
    """At its end the last solved side is the exact minimiser given the other: checked against the normal equations."""
    playlists, tracks, _ = planted()
    users, items = als(playlists, tracks, SHAPE, ALS)
    weight, wanted = np.ones(SHAPE), np.zeros(SHAPE)
    weight[playlists, tracks], wanted[playlists, tracks] = ALS.observed_weight, 1.0
    for t in range(SHAPE[1]):
        left = users.T @ (weight[:, t, None] * users) + ALS.l2 * np.eye(ALS.width)
        exact = np.linalg.solve(left, users.T @ (weight[:, t] * wanted[:, t]))
        assert items[t] == pytest.approx(exact, abs=0.02)
    best = loss_of((users, items), playlists, tracks, ALS)
    rng = np.random.default_rng(1)
    for _ in range(5):
        moved = (users + rng.normal(0, 0.05, users.shape), items + rng.normal(0, 0.05, items.shape))
        assert loss_of(moved, playlists, tracks, ALS) > best


@pytest.mark.parametrize("config", [ALS, SGD], ids=["als", "sgd"])
def test_held_back_pairs_of_the_planted_kinds_are_found(config: WmfConfig) -> None:
    playlists, tracks, held_back = planted()
    solve = als if config.solver == "als" else sgd
    users, items = solve(playlists, tracks, SHAPE, config)
    scores = users @ items.T
    alike = np.arange(SHAPE[0])[:, None] % 4 == np.arange(SHAPE[1])[None, :] % 4
    assert scores[held_back[:, 0], held_back[:, 1]].min() > np.quantile(scores[~alike], 0.99)


def test_sgd_comes_down_to_what_it_minimises() -> None:
    playlists, tracks, _ = planted()
    losses = [
        loss_of(sgd(playlists, tracks, SHAPE, dataclasses.replace(SGD, epochs=epochs)), playlists, tracks, SGD)
        for epochs in (0, 5, 150)
    ]
    assert losses[0] > losses[1] > losses[2] and losses[2] < losses[0] / 4


def test_one_step_equals_pair_by_pair() -> None:
    rng = np.random.default_rng(3)
    factors = [rng.normal(size=(5, 3)).astype(np.float32), rng.normal(size=(6, 3)).astype(np.float32)]
    velocities = [rng.normal(size=table.shape).astype(np.float32) for table in factors]
    rows = [rng.integers(0, 4, 12), rng.integers(0, 5, 12)]
    is_observed = rng.random(12) < 0.5
    expected = [table.astype(np.float64) for table in factors]
    for side in (0, 1):
        for row in set(rows[side].tolist()):
            gradients = []
            for i in np.flatnonzero(rows[side] == row):
                p, s = factors[0][rows[0][i]], factors[1][rows[1][i]]
                weight = SGD.observed_weight if is_observed[i] else 1.0
                error = weight * (float(p @ s) - float(is_observed[i]))
                gradients.append(error * (s, p)[side] + SGD.l2 * (p, s)[side])
            step = SGD.momentum * velocities[side][row] - SGD.learning_rate * np.mean(gradients, axis=0)
            expected[side][row] += step
    before = [table.copy() for table in factors]
    sgd_step(factors, velocities, rows, is_observed, SGD)
    for table, wanted, old in zip(factors, expected, before, strict=True):
        assert table == pytest.approx(wanted, abs=1e-5)
        assert np.array_equal(table[-1], old[-1])  # outside the batch


def test_equal_seeds_give_equal_factors_and_ids_need_not_be_dense() -> None:
    playlists, tracks, _ = planted()
    for config in (dataclasses.replace(ALS, epochs=2), dataclasses.replace(SGD, epochs=2)):
        first = factorise(playlists * 7 + 3, tracks * 5 + 1, config)
        again = factorise(playlists * 7 + 3, tracks * 5 + 1, config)
        assert np.array_equal(first.playlists, again.playlists) and np.array_equal(first.tracks, again.tracks)
        assert first.track_ids.tolist() == sorted(set((tracks * 5 + 1).tolist()))
        assert np.array_equal(first.tracks_of(np.array([6, 1])), first.tracks[[1, 0]])
        with pytest.raises(UserError, match="train track 2 has no WMF factors"):
            first.tracks_of(np.array([2]))


def test_the_step_writes_factors_of_train_alone(settings: Settings, paths: DatasetPaths) -> None:
    factors = load_factors(paths)
    train = set(pl.read_parquet(paths.split_tracks).filter(split="train")["track_id"])
    assert set(factors.track_ids.tolist()) <= train and len(factors.playlist_ids) == 6
    assert factors.tracks.shape[1] == settings.recipe.recommenders.wmf.width
    write_parquet(pl.read_parquet(paths.interactions).clear(), paths.interactions)
    with pytest.raises(UserError, match="no train playlist holds a train track"):
        fit_wmf(paths, settings.recipe.recommenders.wmf)
