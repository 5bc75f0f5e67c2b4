"""How a stage is carried out: what it starts from, which tracks it contrasts, what it descends.

There is a plan for each kind of stage: LARP's, CLAP's loss on the same towers, and the ResNet of CO-Playlist.
"""

from __future__ import annotations

import abc
import logging
from dataclasses import replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from larp_core.config import TrainingConfig
from larp_core.config.recipes import Recipe
from larp_core.config.stages import Stage
from larp_core.model.co_playlist import CoPlaylistModel, build_co_playlist
from larp_core.model.modeling_larp import LarpModel
from larp_core.model.pretrained import build_model
from larp_core.runtime.errors import UserError
from larp_core.training.co_playlist import CoPlaylistObjective
from larp_core.training.inputs import StageInputs
from larp_core.training.objective import ClapObjective, LarpObjective, Objective
from larp_core.training.pruning import PairPruning, pruning_by

logger = logging.getLogger(__name__)

Model = TypeVar("Model", LarpModel, CoPlaylistModel)


class StagePlan(abc.ABC, Generic[Model]):
    """One stage under one recipe; `model` is the one that `starting_model` gave.

    Attributes:
        training: the recipe's section, as this stage takes it.
        is_pretrained: whether the recipe has the model start from pretrained weights.
    """

    def __init__(self, stage: Stage, recipe: Recipe) -> None:
        self.stage, self.recipe = stage, recipe
        self.training: TrainingConfig = recipe.training
        self.is_pretrained = False

    def inputs(self, inputs: StageInputs) -> StageInputs:
        """What the stage hears and reads of them."""
        return inputs

    @abc.abstractmethod
    def starting_model(self, inputs: StageInputs, parent: Path | Model | None) -> Model:
        """The parent's weights, or new ones."""

    @abc.abstractmethod
    def objective(self, model: Model, inputs: StageInputs, pruning: PairPruning | None) -> Objective:
        """What the loop descends."""

    @abc.abstractmethod
    def anchors(self, inputs: StageInputs) -> np.ndarray:
        """Train tracks that the stage can contrast.

        Raises:
            UserError: fewer than two, with nothing to tell apart.
        """

    @abc.abstractmethod
    def lacks(self, inputs: StageInputs) -> str:
        """What fewer than two tracks have, so that there is nothing to train; empty where there is enough."""

    def epochs(self, inputs: StageInputs) -> int:
        """The recipe's; none where the stage hands its weights on, since nothing can be contrasted."""
        if not (lacking := self.lacks(inputs)):
            return self.training.epochs_of(self.stage.name)
        logger.warning("fewer than two train tracks have %s; the weights are handed on", lacking)
        return 0

    def pruning(self, model: Model, inputs: StageInputs, anchors: np.ndarray) -> PairPruning | None:
        """Pairs that are no longer drawn, by the stage's starting weights, where the recipe wants some pruned."""
        return None


class TowersPlan(StagePlan[LarpModel]):
    """A stage of LARP's two towers."""

    def __init__(self, stage: Stage, recipe: Recipe) -> None:
        super().__init__(stage, recipe)
        self.is_pretrained = bool(recipe.model.audio.pretrained or recipe.model.text.pretrained)

    def starting_model(self, inputs: StageInputs, parent: Path | LarpModel | None) -> LarpModel:
        if isinstance(parent, LarpModel):
            model = LarpModel(parent.config)
            model.load_state_dict(parent.state_dict())
            return model
        if parent is not None:
            loaded: LarpModel = LarpModel.from_pretrained(parent)
            return loaded
        model = build_model(self.recipe.model, len(inputs.tokenizer), self.training.seed)
        if model.lexical is not None:
            model.lexical.weigh(inputs.train.input_ids, inputs.train.attention_mask)
        return model

    def anchors(self, inputs: StageInputs) -> np.ndarray:
        """Both modalities for a stage without pairs, where two tracks have them; any one otherwise."""
        has_audio, has_text = inputs.train.mel_rows >= 0, inputs.train.has_text.numpy()
        usable = has_audio | has_text
        if self.stage.pairs:
            usable = usable & (inputs.graph.num_pairable > 0)
        elif (has_audio & has_text).sum() >= 2:
            usable = has_audio & has_text
        anchors = np.flatnonzero(usable)
        if len(anchors) < 2:
            needed = "a playlist to share and a clip or a caption" if self.stage.pairs else "a clip or a caption"
            raise UserError(
                f"{self.stage.name}: {len(anchors) or 'none'} of the {len(usable)} train tracks has {needed}, and a "
                "contrast needs two; see the mp3 ledger for the reasons"
            )
        return anchors

    def lacks(self, inputs: StageInputs) -> str:
        has_both = (inputs.train.mel_rows >= 0) & inputs.train.has_text.numpy()
        return "" if self.stage.pairs or has_both.sum() >= 2 else "clip and caption"


class LarpPlan(TowersPlan):
    """LARP's losses."""

    def objective(self, model: LarpModel, inputs: StageInputs, pruning: PairPruning | None) -> Objective:
        return LarpObjective(model, self.stage, inputs.graph, self.recipe.model, self.training, pruning)

    def pruning(self, model: LarpModel, inputs: StageInputs, anchors: np.ndarray) -> PairPruning | None:
        if not (self.stage.pairs and self.training.pair_pruning):
            return None
        return pruning_by(model, inputs.train, inputs.graph, anchors, self.training)


class ClapPlan(TowersPlan):
    """The towers alone under symmetric InfoNCE."""

    def objective(self, model: LarpModel, inputs: StageInputs, pruning: PairPruning | None) -> Objective:
        return ClapObjective(model, self.recipe.model.temperature, self.training)


class CoPlaylistPlan(StagePlan[CoPlaylistModel]):
    """A ResNet that hears alone."""

    def __init__(self, stage: Stage, recipe: Recipe) -> None:
        super().__init__(stage, recipe)
        self.training = replace(recipe.training, learning_rate=recipe.co_playlist.learning_rate)

    def inputs(self, inputs: StageInputs) -> StageInputs:
        return inputs.heard_only()

    def starting_model(self, inputs: StageInputs, parent: Path | CoPlaylistModel | None) -> CoPlaylistModel:
        return build_co_playlist(self.recipe.co_playlist, self.training.seed)

    def objective(self, model: CoPlaylistModel, inputs: StageInputs, pruning: PairPruning | None) -> Objective:
        return CoPlaylistObjective(model, inputs.graph, self.recipe.co_playlist.temperature, self.training)

    def anchors(self, inputs: StageInputs) -> np.ndarray:
        """Those with a clip and a playlist to share; every track where fewer than two have, and nothing is trained."""
        anchors = np.flatnonzero(self._usable(inputs))
        return anchors if len(anchors) >= 2 else np.arange(len(inputs.train.track_ids))

    def lacks(self, inputs: StageInputs) -> str:
        return "" if self._usable(inputs).sum() >= 2 else "a clip and a playlist to share"

    @staticmethod
    def _usable(inputs: StageInputs) -> np.ndarray:
        usable: np.ndarray = (inputs.train.mel_rows >= 0) & (inputs.graph.num_pairable > 0)
        return usable


def plan_of(stage: Stage, recipe: Recipe) -> StagePlan:
    """The plan of the kind that the stage's losses say."""
    if "clap" in stage.losses:
        return ClapPlan(stage, recipe)
    if "nt_xent" in stage.losses:
        return CoPlaylistPlan(stage, recipe)
    return LarpPlan(stage, recipe)
