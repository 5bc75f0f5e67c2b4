"""DropoutNet and CLCRec: their losses element by element, and a planted problem that they must solve."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from recommender_world import planted_world

from larp_core.config.recommenders import ClcrecConfig, DropoutNetConfig, FittingConfig
from larp_core.evaluation.metrics import evaluate_ranking, random_values
from larp_core.evaluation.recommenders.clcrec import Clcrec, ClcrecModel
from larp_core.evaluation.recommenders.dropoutnet import DropoutNet, DropoutNetModel
from larp_core.evaluation.recommenders.itemknn import ItemKnn
from larp_core.evaluation.recommenders.learned import Batch
from larp_core.evaluation.recommenders.recommender import Inputs, Pairs, Recommender
from larp_core.evaluation.recommenders.train_set import build_train_set, standardised
from larp_core.runtime.errors import UserError

WORLD = planted_world()
FITTING = FittingConfig(epochs=40, patience=8, batch_size=256, num_negatives=128)
DROPOUTNET = DropoutNet(DropoutNetConfig(64, 64, "adam", learning_rate=0.003, l2=0.0), FITTING)
CLCREC = Clcrec(ClcrecConfig(hidden=64, learning_rate=0.03, l2=0.01, temperature=0.2), FITTING)
BATCH = Batch(np.array([0, 3, 3]), np.array([1, 4, 2]), np.array([4, 8, 5, 1]))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def recall_of(recommender: Recommender, inputs: Inputs = WORLD.inputs) -> float:
    ranked = recommender.fit(inputs, 0)(WORLD.test, 10)
    return float(evaluate_ranking(ranked, WORLD.test.targets, (10,))["recall"].mean())


def chance() -> float:
    return float(random_values(WORLD.test.num_targets, WORLD.test.num_candidates, (10,))["recall"].mean())


@pytest.mark.parametrize("recommender", [DROPOUTNET, CLCREC], ids=lambda r: r.name)
def test_cold_tracks_are_found_by_the_part_of_the_content_that_tells_taste(recommender: Recommender) -> None:
    """Louder parts tell nothing, so that cosine is near chance: the playlists must have been learned from."""
    assert recall_of(ItemKnn("cosine")) < 1.5 * chance()
    assert recall_of(recommender) > 3 * chance()


@pytest.mark.parametrize("recommender", [DROPOUTNET, CLCREC], ids=lambda r: r.name)
def test_shuffled_playlists_teach_nothing(recommender: Recommender) -> None:
    tracks = np.random.default_rng(0).permutation(WORLD.inputs.train.tracks)
    pairs = np.unique(np.stack([WORLD.inputs.train.playlists, tracks], axis=1), axis=0)
    inputs = dataclasses.replace(WORLD.inputs, train=Pairs(pairs[:, 0], pairs[:, 1]))
    assert recall_of(recommender, inputs) < 2 * chance()


def test_dropoutnet_loss_equals_the_loop() -> None:
    train = build_train_set(WORLD.inputs)
    model = DropoutNetModel(train, DropoutNetConfig(8, 8, feature_dropout=0.0))
    means = (train.playlist_factors.mean(axis=0), train.track_factors.mean(axis=0))
    for hidden, config in ((False, 0.0), (True, 1.0)):
        model.config = dataclasses.replace(model.config, feature_dropout=config)
        errors = []
        for p in BATCH.playlists:
            for t in [*BATCH.tracks, *BATCH.others]:
                z_p, z_t = means if hidden else (train.playlist_factors[p], train.track_factors[t])
                f_p = model.towers["playlist"](torch.tensor(np.concatenate([train.playlist_content[p], z_p])))
                f_t = model.towers["track"](torch.tensor(np.concatenate([train.content[t], z_t])))
                wanted = float(train.playlist_factors[p] @ train.track_factors[t])
                errors.append((float((f_p @ f_t).detach()) - wanted) ** 2)
        assert float(model.loss(BATCH).detach()) == pytest.approx(np.mean(errors), rel=1e-4)


def test_dropoutnet_hides_the_share_that_it_should_and_cold_rows_are_hidden_ones() -> None:
    train = build_train_set(WORLD.inputs)
    model = DropoutNetModel(train, DropoutNetConfig(8, 8, feature_dropout=0.2))
    rows = torch.zeros(4_000, dtype=torch.int64)
    cold = model.tracks_from_content(torch.from_numpy(train.content[:1]))
    is_cold = (model._tower("track", rows) - cold).abs().max(dim=1).values < 1e-6
    assert float(is_cold.float().mean()) == pytest.approx(0.2, abs=0.03)
    swapped = torch.cat([torch.from_numpy(train.content[:1]), model.means["playlist"][None]], dim=1)
    assert not torch.allclose(model.towers["track"](swapped), cold)


@pytest.mark.parametrize("term", ["track", "embedding"])
def test_clcrec_loss_equals_the_loop(term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    train = build_train_set(WORLD.inputs)
    config = ClcrecConfig(width=5, hidden=7, temperature=0.7, replacement=0.0, l2=0.3, content_term=term)
    model = ClcrecModel(train, config)
    partners = np.array([6, 7, 8])
    monkeypatch.setattr(model, "_partners", lambda playlists: partners)
    content = model.encoder(torch.from_numpy(train.content)).detach().double().numpy()
    tables = {name: getattr(model, name).detach().double().numpy() for name in ("playlists", "tracks")}
    pairs = set(zip(train.playlists.tolist(), train.tracks.tolist(), strict=True))

    def unit(vector: np.ndarray) -> np.ndarray:
        return vector / np.linalg.norm(vector)

    def contrast(anchor: np.ndarray, own: np.ndarray, others: list[np.ndarray]) -> float:
        weights = [math.exp(float(anchor @ key) / 0.7) for key in (own, *others)]
        return -math.log(weights[0] / sum(weights))

    for replacement, shown in ((0.0, tables["tracks"]), (1.0, content)):
        model.config = dataclasses.replace(config, replacement=replacement)
        first, second = [], []
        for i, (p, t) in enumerate(zip(BATCH.playlists, BATCH.tracks, strict=True)):
            strangers = [o for o in BATCH.others if (p, o) not in pairs]
            first.append(contrast(tables["playlists"][p], shown[t], [shown[o] for o in strangers]))
            if term == "track":
                anchor, others = content[partners[i]], strangers
            else:
                anchor, others = tables["tracks"][t], [o for o in BATCH.others if o != t]
            second.append(contrast(unit(anchor), unit(content[t]), [unit(content[o]) for o in others]))
        rows = [*BATCH.tracks, *BATCH.others]
        lengths = [np.mean([v @ v for v in tables["playlists"][BATCH.playlists]])]
        lengths.append(np.mean([v @ v for v in tables["tracks"][rows]]))
        wanted = np.mean(first) + np.mean(second) + 0.3 * np.mean(lengths)
        assert float(model.loss(BATCH).detach()) == pytest.approx(wanted, rel=1e-4)


def test_clcrec_partners_are_of_the_playlist() -> None:
    train = build_train_set(WORLD.inputs)
    model = ClcrecModel(train, ClcrecConfig())
    playlists = np.repeat(np.arange(train.num_playlists), 5)
    partners = model._partners(playlists)
    assert all(train.is_pair(playlists[i : i + 1], partners[i : i + 1]).all() for i in range(len(playlists)))
    assert len(set(partners.tolist())) > train.num_tracks / 2


def test_pairs_equal_a_set() -> None:
    train = build_train_set(WORLD.inputs)
    pairs = set(zip(train.playlists.tolist(), train.tracks.tolist(), strict=True))
    rng = np.random.default_rng(0)
    playlists, tracks = rng.integers(0, train.num_playlists, 30), rng.integers(0, train.num_tracks, 200)
    expected = [[(p, t) in pairs for t in tracks.tolist()] for p in playlists.tolist()]
    assert train.is_pair(playlists, tracks).tolist() == expected and np.any(expected)


def test_train_set_holds_train_tracks_with_vectors_alone() -> None:
    inputs = WORLD.inputs
    seen = dataclasses.replace(
        inputs, track_ids=inputs.track_ids[5:], vectors=inputs.vectors[5:], is_train=inputs.is_train[5:]
    )
    train = build_train_set(seen)
    known = [(p, t) for p, t in zip(inputs.train.playlists, inputs.train.tracks, strict=True) if t >= 5]
    assert len(train.playlists) == len(known)
    used = sorted({t for _, t in known})
    owners = sorted({p for p, _ in known})
    assert [(owners[p], used[t]) for p, t in zip(train.playlists, train.tracks, strict=True)] == sorted(known)
    vectors = standardised(seen)
    assert vectors[seen.is_train].mean(axis=0) == pytest.approx(0, abs=1e-5)
    assert vectors[seen.is_train].std(axis=0) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(train.content, vectors[np.searchsorted(seen.track_ids, used)])
    for p in (0, len(owners) - 1):
        own = [used.index(t) for owner, t in known if owner == owners[p]]
        assert train.playlist_content[p] == pytest.approx(train.content[own].mean(axis=0), abs=1e-5)
    moved = dataclasses.replace(seen, vectors=np.where(seen.is_train[:, None], seen.vectors, 99.0))
    assert np.array_equal(build_train_set(moved).content, train.content)


@pytest.mark.parametrize("recommender", [DROPOUTNET, CLCREC], ids=lambda r: r.name)
def test_equal_seeds_repeat_and_unknown_tracks_come_last(recommender: Recommender) -> None:
    quick = dataclasses.replace(recommender, fitting=dataclasses.replace(FITTING, epochs=1))
    first, again, other = (quick.fit(WORLD.inputs, seed)(WORLD.test, 160) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    kept = np.setdiff1d(WORLD.inputs.track_ids, WORLD.test.candidates[:20], assume_unique=True)
    fewer = dataclasses.replace(
        WORLD.inputs, track_ids=kept, vectors=WORLD.inputs.vectors[kept], is_train=WORLD.inputs.is_train[kept]
    )
    ranked = quick.fit(fewer, 0)(WORLD.test, 160)
    for lists, seeds in zip(ranked, WORLD.test.seeds, strict=True):
        unknown = np.isin(lists[lists >= 0], WORLD.test.candidates[:20])
        assert not np.isin(lists, seeds).any() and not unknown[: -unknown.sum() or None].any()


def test_nothing_to_learn_from_and_divergence_are_said() -> None:
    with pytest.raises(UserError, match="no train track has a vector"):
        DROPOUTNET.fit(dataclasses.replace(WORLD.inputs, is_train=np.zeros_like(WORLD.inputs.is_train)), 0)
    wild = dataclasses.replace(DROPOUTNET, config=DropoutNetConfig(learning_rate=1e9))
    with pytest.raises(UserError, match="not finite in its first epoch"):
        wild.fit(WORLD.inputs, 0)
