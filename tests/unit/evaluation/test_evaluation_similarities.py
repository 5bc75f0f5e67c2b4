"""ItemKNN's similarities against slow twins, and that mean and covariance come from train tracks alone."""

import numpy as np
import pytest
from test_evaluation_itemknn import holdouts_of

from larp_core.config import SIMILARITIES
from larp_core.evaluation.recommenders.itemknn import ItemKnn
from larp_core.evaluation.recommenders.recommender import Inputs
from larp_core.evaluation.recommenders.similarities import prepare
from larp_core.runtime.errors import UserError

IDS = np.arange(60, dtype=np.int32)
TRAIN = IDS >= 20


def vectors_of(seed: int) -> np.ndarray:
    """Directions of very different variance, and a mean that outweighs them all."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(60, 4)) * [5.0, 1.0, 0.5, 0.1] + [9.0, 3.0, 0.0, 1.0]).astype(np.float32)


def slow_scores(similarity: str, vectors: np.ndarray, seeds: list[int]) -> list[float]:
    table = vectors.astype(np.float64)
    if similarity in ("centred", "whitened"):
        table = table - np.mean([table[i] for i in IDS if TRAIN[i]], axis=0)
    playlist = np.mean([table[s] for s in seeds], axis=0)
    if similarity == "dot":
        return [float(playlist @ track) for track in table]
    metric = np.eye(4)
    if similarity == "whitened":
        from sklearn.covariance import LedoitWolf

        metric = np.linalg.inv(LedoitWolf(assume_centered=True).fit(table[TRAIN]).covariance_)

    def product(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ metric @ b)

    return [product(playlist, t) / np.sqrt(product(playlist, playlist) * product(t, t)) for t in table]


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_each_similarity_equals_its_slow_twin(similarity: str) -> None:
    vectors, seeds = vectors_of(0), [3, 5, 11]
    holdouts = holdouts_of([seeds], [[7]], 20)
    rank = ItemKnn(similarity).fit(Inputs(IDS, vectors, TRAIN), seed=0)
    scores = slow_scores(similarity, vectors, seeds)
    expected = sorted(set(range(20)) - set(seeds), key=lambda track: -scores[track])
    assert rank(holdouts, 17)[0].tolist() == expected


def test_the_similarities_differ_where_it_matters() -> None:
    holdouts = holdouts_of([[3, 5, 11]], [[7]], 20)
    inputs = Inputs(IDS, vectors_of(0), TRAIN)
    lists = {tuple(ItemKnn(s).fit(inputs, 0)(holdouts, 17)[0].tolist()) for s in SIMILARITIES}
    assert len(lists) == 4


@pytest.mark.parametrize("similarity", ["centred", "whitened"])
def test_only_train_tracks_say_what_is_taken_out(similarity: str) -> None:
    vectors = vectors_of(1)
    others = vectors.copy()
    others[~TRAIN] += 100.0
    assert np.array_equal(prepare(similarity, vectors, TRAIN)[TRAIN], prepare(similarity, others, TRAIN)[TRAIN])
    with pytest.raises(UserError, match="no train track has a vector"):
        prepare(similarity, vectors, np.zeros(60, bool))


def test_whitened_train_vectors_have_no_favoured_direction() -> None:
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(4_000, 3)) @ np.array([[3.0, 0, 0], [2.0, 1.0, 0], [1.0, 0.5, 1.5]]) + 5.0
    prepared = prepare("whitened", vectors, np.ones(4_000, bool))
    assert np.cov(prepared.T) == pytest.approx(np.eye(3), abs=0.05)


def test_more_dimensions_than_train_tracks_stay_finite() -> None:
    vectors = np.random.default_rng(3).normal(size=(60, 200)).astype(np.float32)
    vectors[:, 100:] = vectors[:, :100]
    assert np.isfinite(prepare("whitened", vectors, TRAIN)).all()


def test_variants_carry_their_similarity_in_the_name() -> None:
    assert ItemKnn("cosine").name == "ItemKNN"
    assert ItemKnn("dot", is_variant=True).name == "ItemKNN (dot)"


def test_fewer_train_tracks_than_dimensions_are_whitened_by_the_same_covariance() -> None:
    from sklearn.covariance import LedoitWolf

    vectors = (np.random.default_rng(4).normal(size=(60, 80)) * np.linspace(3.0, 0.2, 80)).astype(np.float64)
    prepared, centred = prepare("whitened", vectors, TRAIN), vectors - vectors[TRAIN].mean(axis=0)
    covariance = LedoitWolf(assume_centered=True).fit(centred[TRAIN]).covariance_
    assert prepared @ prepared.T == pytest.approx(centred @ np.linalg.inv(covariance) @ centred.T, rel=1e-6, abs=1e-6)
