"""Metrics beyond hits against slow twins, one playlist and one pair at a time; NDCG against scikit-learn's."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from larp_core.evaluation.list_metrics import TrackFacts, coverage, list_values, similarity_values, surprise_of
from larp_core.evaluation.metrics import evaluate_ranking

KS = (2, 5, 3)
NUM_TRACKS = 12
World = tuple[list[list[int]], list[set[int]], TrackFacts]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Few artists and albums, some unknown; lists of any length up to the largest K."""
    tracks = st.integers(0, NUM_TRACKS - 1)
    count = draw(st.integers(1, 4))
    ranked = [draw(st.lists(tracks, max_size=max(KS), unique=True)) for _ in range(count)]
    targets = [draw(st.sets(tracks, min_size=1, max_size=6)) for _ in range(count)]
    codes = [np.array(draw(st.lists(st.integers(-1, 3), min_size=NUM_TRACKS, max_size=NUM_TRACKS))) for _ in range(2)]
    counts = np.array(draw(st.lists(st.integers(0, 9), min_size=NUM_TRACKS, max_size=NUM_TRACKS)))
    order = np.array(draw(st.permutations(range(NUM_TRACKS))), np.int32)
    return ranked, targets, TrackFacts(order, codes[0], codes[1], surprise_of(counts, 9))


def as_array(ranked: list[list[int]]) -> np.ndarray:
    return np.array([row + [-1] * (max(KS) - len(row)) for row in ranked], np.int32)


def slow_key_recall(tracks: list[int], targets: set[int], key_of: dict[int, int]) -> float:
    wanted = {key_of[t] for t in targets} - {-1}
    found = {key_of[t] for t in tracks} & wanted
    return len(found) / len(wanted) if wanted else math.nan


@given(worlds())
def test_artists_albums_and_novelty_equal_the_slow_twin(world: World) -> None:
    ranked, targets, facts = world
    values = list_values(as_array(ranked), [np.array(sorted(t)) for t in targets], facts, KS)
    tables = {
        "artist_recall": dict(zip(facts.track_ids.tolist(), facts.artists.tolist(), strict=True)),
        "album_recall": dict(zip(facts.track_ids.tolist(), facts.albums.tolist(), strict=True)),
    }
    surprise = dict(zip(facts.track_ids.tolist(), facts.surprise.tolist(), strict=True))
    for row, (tracks, wanted) in enumerate(zip(ranked, targets, strict=True)):
        for column, k in enumerate(KS):
            for metric, table in tables.items():
                slow = slow_key_recall(tracks[:k], wanted, table)
                assert values[metric][row, column] == pytest.approx(slow, nan_ok=True)
            mean = np.mean([surprise[t] for t in tracks[:k]]) if tracks else math.nan
            assert values["novelty"][row, column] == pytest.approx(mean, nan_ok=True)


@given(worlds())
def test_more_of_a_list_finds_no_fewer_and_tracks_no_more_than_artists(world: World) -> None:
    ranked, targets, facts = world
    arrays = [np.array(sorted(t)) for t in targets]
    values = list_values(as_array(ranked), arrays, facts, (1, 2, 5))
    for metric in ("artist_recall", "album_recall"):
        known = values[metric][~np.isnan(values[metric]).any(axis=1)]
        assert (np.diff(known, axis=1) >= 0).all() and ((known >= 0) & (known <= 1)).all()
    perfect = list_values(as_array([sorted(t)[: max(KS)] for t in targets]), arrays, facts, (5,))
    for row, wanted in enumerate(targets):
        if len(wanted) <= max(KS):
            assert perfect["artist_recall"][row, 0] in (1.0, pytest.approx(math.nan, nan_ok=True))


@given(worlds(), st.integers(0, 10))
def test_similarity_equals_the_mean_over_pairs(world: World, seed: int) -> None:
    ranked, _, facts = world
    known = facts.track_ids[: NUM_TRACKS - 3]
    vectors = np.random.default_rng(seed).normal(size=(len(known), 4)).astype(np.float32)
    vectors[0] = 0.0
    table = {int(t): v / np.linalg.norm(v) for t, v in zip(known[1:], vectors[1:].astype(float), strict=True)}
    values = similarity_values(as_array(ranked), known, vectors, KS)
    for row, tracks in enumerate(ranked):
        for column, k in enumerate(KS):
            there = [table[t] for t in tracks[:k] if t in table]
            cosines = [float(a @ b) for a, b in itertools.combinations(there, 2)]
            slow = np.mean(cosines) if cosines else math.nan
            assert values[row, column] == pytest.approx(slow, nan_ok=True, abs=1e-5)


def test_the_published_flow_follows_from_the_similarity() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(9, 5))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    (value,) = similarity_values(np.arange(9)[None], np.arange(9), vectors, (9,))[0]
    assert (unit @ unit.T).mean() == pytest.approx((1 + 8 * value) / 9)


@given(worlds())
def test_coverage_is_the_union_of_the_lists(world: World) -> None:
    ranked, _, _ = world
    shown = coverage(as_array(ranked), NUM_TRACKS, KS)
    for column, k in enumerate(KS):
        assert shown[column] == len({t for tracks in ranked for t in tracks[:k]}) / NUM_TRACKS


def test_rare_artists_surprise_more() -> None:
    bits = surprise_of(np.array([0, 1, 3, 7]), 7)
    assert bits.tolist() == [3.0, 2.0, 1.0, 0.0]


@given(st.integers(0, 100), st.integers(2, 30), st.integers(1, 40))
def test_ndcg_is_scikit_learns_where_a_list_ranks_all(seed: int, num_tracks: int, k: int) -> None:
    """Both divide by the gain of the best order, which has min(targets, K) hits; scores without ties."""
    rng = np.random.default_rng(seed)
    relevant = rng.random(num_tracks) < 0.4
    relevant[rng.integers(num_tracks)] = True
    scores = rng.permutation(num_tracks).astype(float)
    ranked = np.full((1, max(k, num_tracks)), -1)
    ranked[0, :num_tracks] = np.argsort(-scores)
    ours = evaluate_ranking(ranked, [np.flatnonzero(relevant)], (k,))["ndcg"][0, 0]
    assert ours == pytest.approx(ndcg_score([relevant.astype(int)], [scores], k=k))
