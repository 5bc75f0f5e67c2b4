"""Intervals cover what is planted, pairing sees what two intervals alone don't, and the same seed repeats."""

import numpy as np
import pytest

from larp_core.evaluation import bootstrap
from larp_core.evaluation.bootstrap import bootstrap_intervals, paired_difference


def test_intervals_cover_the_planted_mean() -> None:
    rng = np.random.default_rng(0)
    truth = 0.25
    intervals = [bootstrap_intervals(rng.beta(1, 3, size=(80, 1)), samples=400)[0] for _ in range(300)]
    coverage = np.mean([i.low <= truth <= i.high for i in intervals])
    assert 0.90 <= coverage <= 0.985
    assert all(i.low < i.mean < i.high for i in intervals)


def test_width_is_that_of_the_normal_approximation() -> None:
    values = np.random.default_rng(1).normal(size=(400, 1))
    interval = bootstrap_intervals(values, samples=4_000)[0]
    expected = 2 * 1.96 * values.std() / np.sqrt(400)
    assert interval.high - interval.low == pytest.approx(expected, rel=0.08)


def test_equals_resampling_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(2).random((7, 2))
    monkeypatch.setattr(bootstrap, "CHUNK_CELLS", 7 * 1_000)
    generator = np.random.default_rng(5)
    means = np.array([values[generator.integers(7, size=7)].mean(axis=0) for _ in range(100)])
    low, high = np.quantile(means, [0.05, 0.95], axis=0)
    intervals = bootstrap_intervals(values, samples=100, confidence=0.9, seed=5)
    assert [i.low for i in intervals] == pytest.approx(low)
    assert [i.high for i in intervals] == pytest.approx(high)


def test_same_seed_repeats_and_another_does_not() -> None:
    values = np.random.default_rng(3).random((30, 1))
    assert bootstrap_intervals(values, seed=1) == bootstrap_intervals(values, seed=1)
    assert bootstrap_intervals(values, seed=1) != bootstrap_intervals(values, seed=2)


def test_pairing_sees_a_small_steady_gain() -> None:
    rng = np.random.default_rng(4)
    base = rng.random(60)
    better = base + 0.02 + 0.005 * rng.normal(size=60)
    difference = paired_difference(better, base)
    assert difference.mean == pytest.approx(np.mean(better) - np.mean(base))
    assert 0 < difference.low < difference.mean < difference.high < 0.03
    separate = bootstrap_intervals(np.stack([better, base], axis=1))
    assert separate[0].low < separate[1].high


def test_no_difference_is_not_found() -> None:
    rng = np.random.default_rng(6)
    found = [paired_difference(rng.random(50), rng.random(50), samples=300, seed=s) for s in range(200)]
    assert np.mean([d.low > 0 or d.high < 0 for d in found]) < 0.1


def test_bad_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="same playlists"):
        paired_difference(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="no playlists"):
        bootstrap_intervals(np.empty((0, 2)))
