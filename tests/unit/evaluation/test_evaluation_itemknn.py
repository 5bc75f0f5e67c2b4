"""ItemKNN against a slow twin, its ties, and tracks and seeds that have no vector."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from larp_core.evaluation import nearest
from larp_core.evaluation.holdouts import Holdouts, hash_order
from larp_core.evaluation.ranking import rows_of
from larp_core.evaluation.recommenders.itemknn import evaluate_itemknn, rank


def holdouts_of(seeds: list[list[int]], targets: list[list[int]], num_tracks: int) -> Holdouts:
    arrays = [[np.array(sorted(ids), np.int32) for ids in side] for side in (seeds, targets)]
    return Holdouts(np.arange(len(seeds), dtype=np.int32), *arrays, np.arange(num_tracks, dtype=np.int32))


def slow_rank(holdouts: Holdouts, vectors: dict[int, np.ndarray], k: int) -> list[list[int]]:
    """One playlist and one candidate at a time, sorted by score and then by place in the hash order."""
    place = {int(track): i for i, track in enumerate(hash_order(holdouts.candidates))}
    ranked = []
    for seeds in holdouts.seeds:
        known = [vectors[int(s)] for s in seeds if int(s) in vectors]
        mean = np.mean(known, axis=0) if known else None
        scores = {}
        for track in set(map(int, holdouts.candidates)) - set(map(int, seeds)):
            if mean is None:
                scores[track] = 0.0
            elif track not in vectors:
                scores[track] = -2.0
            else:
                norms = np.linalg.norm(mean) * np.linalg.norm(vectors[track])
                scores[track] = round(float(mean @ vectors[track] / norms), 9) if norms else 0.0
        best = sorted(scores, key=lambda track: (-scores[track], place[track]))[:k]
        ranked.append(best + [-1] * (k - len(best)))
    return ranked


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Holdouts, np.ndarray, np.ndarray, int]:
    """Vectors of small whole numbers, so that ties and zero vectors abound; some tracks have none."""
    num_tracks = draw(st.integers(2, 14))
    members = [draw(st.permutations(range(num_tracks))) for _ in range(draw(st.integers(1, 4)))]
    cuts = [(draw(st.integers(0, num_tracks - 1))) for _ in members]
    seeds = [m[:cut] for m, cut in zip(members, cuts, strict=True)]
    targets = [m[cut : cut + 1] for m, cut in zip(members, cuts, strict=True)]
    track_ids = draw(st.permutations(range(num_tracks)))[: draw(st.integers(0, num_tracks))]
    numbers = st.lists(st.integers(-2, 2), min_size=2, max_size=2)
    vectors = np.array([draw(numbers) for _ in track_ids], np.float32).reshape(-1, 2)
    return holdouts_of(seeds, targets, num_tracks), np.array(track_ids, np.int32), vectors, draw(st.integers(1, 16))


@given(worlds())
def test_rank_equals_the_slow_twin(world: tuple[Holdouts, np.ndarray, np.ndarray, int]) -> None:
    holdouts, track_ids, vectors, k = world
    table = {int(t): v.astype(np.float64) for t, v in zip(track_ids, vectors, strict=True)}
    assert rank(holdouts, track_ids, vectors, k).tolist() == slow_rank(holdouts, table, k)


def test_many_chunks_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    lists = [rng.permutation(40)[:12].tolist() for _ in range(30)]
    holdouts = holdouts_of([x[:6] for x in lists], [x[6:] for x in lists], 40)
    vectors = rng.normal(size=(40, 5))
    whole = rank(holdouts, np.arange(40), vectors, 10)
    monkeypatch.setattr(nearest, "QUERIES_AT_ONCE", 4)
    monkeypatch.setattr(nearest, "VECTORS_AT_ONCE", 16)
    assert np.array_equal(rank(holdouts, np.arange(40), vectors, 10), whole)


def test_ties_do_not_follow_the_order_of_rows() -> None:
    holdouts = holdouts_of([[0], [1]], [[5], [6]], 50)
    same = np.ones((50, 3), np.float32)
    ranked = rank(holdouts, np.arange(50), same, 20)
    shuffled = np.random.default_rng(0).permutation(50)
    assert np.array_equal(rank(holdouts, shuffled, same, 20), ranked)
    assert ranked[0].tolist() == [t for t in hash_order(np.arange(50)) if t != 0][:20]
    assert ranked[0].tolist() != sorted(ranked[0])


def test_tracks_without_vector_come_last_and_lonely_playlists_get_hash_order() -> None:
    holdouts = holdouts_of([[0, 1], [9]], [[2], [3]], 10)
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, -1.0]])
    ranked = rank(holdouts, np.array([0, 1, 2, 3]), vectors, 10)
    assert ranked[0, :2].tolist() == [2, 3]
    assert ranked[0, 2:].tolist() == [t for t in hash_order(np.arange(10)) if t > 3] + [-1, -1]
    assert ranked[1].tolist() == [t for t in hash_order(np.arange(10)) if t != 9] + [-1]


def test_bad_vectors_are_refused() -> None:
    holdouts = holdouts_of([[0]], [[1]], 3)
    with pytest.raises(ValueError, match="track 2 holds NaN"):
        rank(holdouts, np.array([1, 2]), np.array([[1.0], [np.nan]]), 2)
    with pytest.raises(ValueError, match="do not fit"):
        rank(holdouts, np.array([1, 2]), np.ones((3, 2)), 2)


def test_evaluation_finds_what_is_planted() -> None:
    kinds = np.eye(4)[np.arange(40) % 4] + 0.01 * np.random.default_rng(0).normal(size=(40, 4))
    seeds = [[kind, kind + 4] for kind in range(4)]
    targets = [[track for track in range(kind + 8, 40, 4)] for kind in range(4)]
    frame = evaluate_itemknn(holdouts_of(seeds, targets, 40), np.arange(40), kinds, (4, 8))
    assert frame.filter(metric="recall", k=8)["value"].to_list() == [1.0] * 4
    assert frame.filter(metric="recall", k=4)["value"].to_list() == [0.5] * 4
    assert frame.filter(metric="ndcg")["value"].to_list() == pytest.approx([1.0] * 8)


@given(st.lists(st.integers(0, 50), unique=True, max_size=20), st.lists(st.integers(0, 50), max_size=20))
def test_rows_of_equals_a_dictionary(track_ids: list[int], wanted: list[int]) -> None:
    table = {track: row for row, track in enumerate(track_ids)}
    assert rows_of(np.array(track_ids, int), np.array(wanted, int)).tolist() == [table.get(t, -1) for t in wanted]
