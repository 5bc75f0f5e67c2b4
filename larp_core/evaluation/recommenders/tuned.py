"""A recommender whose settings are chosen on the validation playlists, with the same number of trials in every cell.

The recipe's own settings are the first trial, so that tuning never ends below them on validation. Trials are kept in a
journal: a run that was killed goes on after its last finished one.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from larp_core.config import SIMILARITIES
from larp_core.evaluation.metrics import evaluate_ranking
from larp_core.evaluation.recommenders.itemknn import ItemKnn
from larp_core.evaluation.recommenders.recommender import Inputs, Ranker, Recommender
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import hash_of, make_folder

if TYPE_CHECKING:  # not at run time, but where something is tuned
    import optuna

VALIDATION_K = 10
NUM_RANDOM_TRIALS = 5
"""Before the sampler goes by what it has seen."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Range:
    """What a number may be; `log` draws its logarithm evenly."""

    low: float
    high: float
    log: bool = False


Space = dict[str, Range | tuple[str, ...]]

ITEMKNN_SPACE: Space = {"similarity": SIMILARITIES}
"""All that it has to choose: a budget beyond their number repeats some."""

DROPOUTNET_SPACE: Space = {
    "optimiser": ("sgd", "adam"),
    "learning_rate": Range(1e-4, 0.3, log=True),
    "l2": Range(1e-6, 0.3, log=True),
    "feature_dropout": Range(0.0, 0.8),
}
CLCREC_SPACE: Space = {
    "learning_rate": Range(1e-4, 0.1, log=True),
    "l2": Range(1e-6, 0.3, log=True),
    "temperature": Range(0.05, 5.0, log=True),
    "replacement": Range(0.0, 1.0),
    "content_term": ("track", "embedding"),
}


@dataclass(frozen=True)
class Tuned:
    """`base` with the best settings of `space`; `journal` holds the trials of all recommenders of one encoder."""

    base: Any
    space: Space
    num_trials: int
    journal: Path

    @property
    def name(self) -> str:
        return str(self.base.name)

    @property
    def is_seeded(self) -> bool:
        return bool(self.base.is_seeded)

    def fit(self, inputs: Inputs, seed: int) -> Ranker:
        """Raises UserError where there is no validation playlist to choose by, or every trial failed."""
        import optuna

        study = self._study(inputs, seed)
        num_left = self.num_trials - sum(trial.state.is_finished() for trial in study.trials)
        if num_left > 0:
            study.optimize(lambda trial: self._recall(trial, inputs, seed), n_trials=num_left)
        if not study.get_trials(states=[optuna.trial.TrialState.COMPLETE]):
            raise UserError(f"{self.name}: none of {self.num_trials} trials could be fitted; see {self.journal}")
        best = study.best_trial
        logger.info(
            "%s: best of %d trials %s, validation R@10 %.4f", self.name, self.num_trials, best.params, best.value
        )
        return self._with(best.params).fit(inputs, seed)

    def _study(self, inputs: Inputs, seed: int) -> optuna.Study:
        """The study of these inputs and settings, with the trials that an earlier run has finished."""
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        make_folder(self.journal.parent)
        study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(self.journal))),
            study_name=hash_of([self.name, repr(self.base), _digest(inputs)]),
            direction="maximize",
            load_if_exists=True,
        )
        # Another seed for what is left, or a resumed study would propose its first trials again.
        study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials), n_startup_trials=NUM_RANDOM_TRIALS)
        if not study.trials:
            study.enqueue_trial(self._first())
        return study

    def _recall(self, trial: optuna.Trial, inputs: Inputs, seed: int) -> float:
        import optuna

        if inputs.valid is None:
            raise UserError("evaluation.tuning_trials: no validation playlist has a target to choose by; set it to 0")
        settings = {name: _suggest(trial, name, choice) for name, choice in self.space.items()}
        try:
            ranked = self._with(settings).fit(inputs, seed)(inputs.valid, VALIDATION_K)
        except UserError as error:  # these settings diverge; the others go on
            raise optuna.TrialPruned(str(error)) from None
        return float(evaluate_ranking(ranked, inputs.valid.targets, (VALIDATION_K,))["recall"].mean())

    def _with(self, settings: dict[str, Any]) -> Recommender:
        if isinstance(self.base, ItemKnn):
            return replace(self.base, **settings)
        return replace(self.base, config=replace(self.base.config, **settings))

    def _first(self) -> dict[str, Any]:
        """The recipe's settings; a number outside its range, an L2 of zero say, becomes the nearest within."""
        source = self.base if isinstance(self.base, ItemKnn) else self.base.config
        ours = {name: getattr(source, name) for name in self.space}
        return {
            name: min(max(ours[name], choice.low), choice.high) if isinstance(choice, Range) else ours[name]
            for name, choice in self.space.items()
        }


def _suggest(trial: optuna.Trial, name: str, choice: Range | tuple[str, ...]) -> Any:
    if isinstance(choice, Range):
        return trial.suggest_float(name, choice.low, choice.high, log=choice.log)
    return trial.suggest_categorical(name, choice)


def _digest(inputs: Inputs) -> str:
    """Of all that a trial depends on: trials on other vectors, factors or playlists are not these."""
    digest = hashlib.sha256()
    valid = [] if inputs.valid is None else [*inputs.valid.seeds, *inputs.valid.targets, inputs.valid.candidates]
    factors = [inputs.factors.playlists, inputs.factors.tracks]
    own = [inputs.track_ids, inputs.vectors, inputs.is_train, inputs.train.playlists, inputs.train.tracks]
    for array in [*own, *factors, *valid]:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
