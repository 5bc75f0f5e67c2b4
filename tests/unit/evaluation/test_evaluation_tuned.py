"""Tuning: chosen on validation alone, equal budgets, the recipe's own settings first, resumed after a kill."""

import dataclasses
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from recommender_world import planted_world

from larp_core.config import SIMILARITIES
from larp_core.config.recipes import SMOKE
from larp_core.config.recommenders import ClcrecConfig, DropoutNetConfig, FittingConfig
from larp_core.evaluation.holdouts import Holdouts
from larp_core.evaluation.metrics import evaluate_ranking
from larp_core.evaluation.recommenders import tuned as tuned_module
from larp_core.evaluation.recommenders.catalogue import recommenders_of
from larp_core.evaluation.recommenders.clcrec import Clcrec
from larp_core.evaluation.recommenders.dropoutnet import DropoutNet
from larp_core.evaluation.recommenders.itemknn import ItemKnn
from larp_core.evaluation.recommenders.tuned import (
    CLCREC_SPACE,
    DROPOUTNET_SPACE,
    ITEMKNN_SPACE,
    Range,
    Tuned,
)
from larp_core.runtime.errors import UserError

WORLD = planted_world()
QUICK = FittingConfig(epochs=1, batch_size=256, num_negatives=32)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def recall_of(ranked: np.ndarray, holdouts: Holdouts) -> float:
    return float(evaluate_ranking(ranked, holdouts.targets, (10,))["recall"].mean())


def trials_of(journal: Path) -> list[optuna.trial.FrozenTrial]:
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(journal)))
    (study,) = storage.get_all_studies()
    return storage.get_all_trials(study._study_id)


def test_the_similarity_is_that_of_the_best_validation_recall(tmp_path: Path) -> None:
    valid = WORLD.inputs.valid
    fitted = {s: ItemKnn(s).fit(WORLD.inputs, 0) for s in SIMILARITIES}
    recalls = {s: recall_of(rank(valid, 10), valid) for s, rank in fitted.items()}
    best = max(recalls, key=lambda s: recalls[s])
    assert best != "cosine"
    tuned = Tuned(ItemKnn("cosine"), ITEMKNN_SPACE, 12, tmp_path / "knn.journal")
    assert tuned.name == "ItemKNN" and not tuned.is_seeded
    assert np.array_equal(tuned.fit(WORLD.inputs, 0)(WORLD.test, 10), fitted[best](WORLD.test, 10))
    for trial in trials_of(tmp_path / "knn.journal"):
        assert trial.value == recalls[trial.params["similarity"]]


def test_each_recommender_has_the_budget_and_starts_from_the_recipes_own(tmp_path: Path) -> None:
    recipe = dataclasses.replace(SMOKE, evaluation=dataclasses.replace(SMOKE.evaluation, tuning_trials=3))
    names = []
    for recommender in recommenders_of(recipe.evaluation, recipe.recommenders, tmp_path / "unused"):
        if not isinstance(recommender, Tuned):
            continue
        names.append(recommender.name)
        journal = tmp_path / f"{recommender.name}.journal"
        dataclasses.replace(recommender, journal=journal).fit(WORLD.inputs, 0)
        trials = trials_of(journal)
        assert len(trials) == 3
        assert trials[0].params == recommender._first()
    assert names == ["ItemKNN", "DropoutNet", "CLCRec"]
    assert not any(
        isinstance(recommender, Tuned)
        for recommender in recommenders_of(SMOKE.evaluation, SMOKE.recommenders, tmp_path)
    )


def test_the_recipes_numbers_are_kept_within_the_ranges() -> None:
    tuned = Tuned(DropoutNet(DropoutNetConfig(l2=0.0), QUICK), DROPOUTNET_SPACE, 1, Path("none"))
    assert tuned._first()["l2"] == DROPOUTNET_SPACE["l2"].low
    for config, space in ((DropoutNetConfig(), DROPOUTNET_SPACE), (ClcrecConfig(), CLCREC_SPACE)):
        for name, choice in space.items():
            own = getattr(config, name)
            assert choice.low <= own <= choice.high if isinstance(choice, Range) else own in choice


def test_a_killed_run_goes_on_after_its_last_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned = Tuned(Clcrec(ClcrecConfig(width=8, hidden=8), QUICK), CLCREC_SPACE, 4, tmp_path / "clcrec.journal")
    calls = []

    def killed_at_the_third(*arguments: object) -> dict[str, np.ndarray]:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return evaluate_ranking(*arguments)

    monkeypatch.setattr(tuned_module, "evaluate_ranking", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        tuned.fit(WORLD.inputs, 0)
    first = tuned.fit(WORLD.inputs, 0)(WORLD.test, 10)
    states = [trial.state.name for trial in trials_of(tmp_path / "clcrec.journal")]
    assert states.count("COMPLETE") >= 3 and len(states) <= 5
    num_calls = len(calls)
    assert np.array_equal(tuned.fit(WORLD.inputs, 0)(WORLD.test, 10), first)
    assert len(calls) == num_calls  # nothing is tried again
    other = dataclasses.replace(WORLD.inputs, vectors=WORLD.inputs.vectors + 1)
    tuned.fit(other, 0)
    assert len(calls) == num_calls + 4  # but on other vectors


def test_settings_that_diverge_are_left_out_and_no_validation_is_said(tmp_path: Path) -> None:
    space = {"learning_rate": Range(1e8, 1e9, log=True)}
    wild = Tuned(DropoutNet(DropoutNetConfig(learning_rate=1e9), QUICK), space, 2, tmp_path / "wild.journal")
    with pytest.raises(UserError, match="none of 2 trials could be fitted"):
        wild.fit(WORLD.inputs, 0)
    tuned = Tuned(ItemKnn("dot"), ITEMKNN_SPACE, 2, tmp_path / "dot.journal")
    with pytest.raises(UserError, match="no validation playlist has a target to choose by"):
        tuned.fit(dataclasses.replace(WORLD.inputs, valid=None), 0)
