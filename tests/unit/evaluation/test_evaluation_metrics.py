"""Recall and NDCG against a slow twin, chance against shuffles, the ceiling against a perfect list."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from larp_core.evaluation.metrics import evaluate_ranking, oracle_values, random_values, values_frame

KS = (1, 3, 7)


def slow_recall(ranked: list[int], targets: set[int], k: int) -> float:
    return len([track for track in ranked[:k] if track in targets]) / len(targets)


def slow_ndcg(ranked: list[int], targets: set[int], k: int) -> float:
    gain = sum(1 / math.log2(rank + 1) for rank, track in enumerate(ranked[:k], start=1) if track in targets)
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(targets), k) + 1))
    return gain / ideal


@st.composite
def playlists(draw: st.DrawFn) -> tuple[list[list[int]], list[set[int]]]:
    count = draw(st.integers(1, 5))
    ranked = [draw(st.lists(st.integers(0, 30), max_size=max(KS), unique=True)) for _ in range(count)]
    targets = [draw(st.sets(st.integers(0, 30), min_size=1, max_size=12)) for _ in range(count)]
    return ranked, targets


def as_array(ranked: list[list[int]]) -> np.ndarray:
    return np.array([row + [-1] * (max(KS) - len(row)) for row in ranked], np.int32)


@given(playlists())
def test_metrics_equal_the_slow_twin(world: tuple[list[list[int]], list[set[int]]]) -> None:
    ranked, targets = world
    values = evaluate_ranking(as_array(ranked), [np.array(sorted(t), np.int32) for t in targets], KS)
    for row, (tracks, wanted) in enumerate(zip(ranked, targets, strict=True)):
        for column, k in enumerate(KS):
            assert values["recall"][row, column] == pytest.approx(slow_recall(tracks, wanted, k))
            assert values["ndcg"][row, column] == pytest.approx(slow_ndcg(tracks, wanted, k))


def test_a_worked_example() -> None:
    values = evaluate_ranking(np.array([[4, 8, 2, -1]]), [np.array([2, 4, 9])], (1, 4))
    assert values["recall"].tolist() == [[1 / 3, 2 / 3]]
    assert values["ndcg"][0] == pytest.approx([1.0, (1 + 0.5) / (1 + 1 / math.log2(3) + 0.5)])


def test_a_hit_counts_only_for_its_own_playlist() -> None:
    values = evaluate_ranking(np.array([[1], [2]]), [np.array([2]), np.array([1])], (1,))
    assert values["recall"].tolist() == [[0.0], [0.0]]


def test_lists_shorter_than_k_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be scored at 5"):
        evaluate_ranking(np.array([[1, 2]]), [np.array([2])], (5,))


@pytest.mark.parametrize(("num_targets", "num_candidates"), [(1, 4), (3, 20), (12, 12), (5, 6)])
def test_chance_is_the_mean_over_shuffles(num_targets: int, num_candidates: int) -> None:
    rng = np.random.default_rng(3)
    shuffles = rng.permuted(np.tile(np.arange(num_candidates), (20_000, 1)), axis=1)
    ranked = np.full((len(shuffles), max(KS)), -1)
    ranked[:, : shuffles.shape[1]] = shuffles[:, : max(KS)]
    seen = evaluate_ranking(ranked, [np.arange(num_targets)] * len(shuffles), KS)
    exact = random_values(np.array([num_targets]), np.array([num_candidates]), KS)
    for metric, values in seen.items():
        error = 4 * values.std(axis=0) / math.sqrt(len(shuffles)) + 1e-12
        assert (np.abs(values.mean(axis=0) - exact[metric][0]) <= error).all()


@given(st.integers(1, 15), st.integers(0, 15))
def test_ceiling_is_the_perfect_list(num_targets: int, num_others: int) -> None:
    perfect = [list(range(num_targets + num_others))[: max(KS)]]
    values = evaluate_ranking(as_array(perfect), [np.arange(num_targets)], KS)
    ceiling = oracle_values(np.array([num_targets]), KS)
    chance = random_values(np.array([num_targets]), np.array([num_targets + num_others]), KS)
    for metric in values:
        assert values[metric] == pytest.approx(ceiling[metric])
        assert (chance[metric] <= ceiling[metric] + 1e-12).all()


def test_frame_has_one_row_a_playlist_metric_and_k() -> None:
    values = {"recall": np.array([[0.1, 0.2], [0.3, 0.4]]), "ndcg": np.array([[0.5, 0.6], [0.7, 0.8]])}
    frame = values_frame(np.array([7, 9]), values, (10, 20))
    assert frame.schema == {"playlist_id": pl.Int32, "metric": pl.String, "k": pl.Int32, "value": pl.Float64}
    assert frame.height == 8
    assert frame.filter(playlist_id=9, metric="ndcg", k=10)["value"].to_list() == [0.7]
