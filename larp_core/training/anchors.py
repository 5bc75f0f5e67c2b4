"""Which train tracks a stage contrasts, and for how many epochs: fewer than two leave nothing to tell apart."""

from __future__ import annotations

import logging

import numpy as np

from larp_core.config.recipes import Recipe
from larp_core.runtime.errors import UserError
from larp_core.training.inputs import StageInputs
from larp_core.training.objective import PLANS

logger = logging.getLogger(__name__)


def anchors_of(stage: str, inputs: StageInputs) -> np.ndarray:
    """Train tracks that the stage can contrast: both modalities for a stage without pairs, any one otherwise.

    Where fewer than two tracks have both, a stage without pairs hands its weights on: see `epochs_of`. So does one that
    hears alone where there is nothing to hear.

    Raises:
        UserError: fewer than two anchors.
    """
    has_audio, has_text = inputs.train.mel_rows >= 0, inputs.train.has_text.numpy()
    usable = has_audio | has_text
    if PLANS[stage].pairs:
        usable = usable & (inputs.graph.num_pairable > 0)
    elif (has_audio & has_text).sum() >= 2:
        usable = has_audio & has_text
    anchors = np.flatnonzero(usable)
    if len(anchors) < 2 and PLANS[stage].hears_only:
        return np.arange(len(usable))
    if len(anchors) < 2:
        needed = "a playlist to share and a clip or a caption" if PLANS[stage].pairs else "a clip or a caption"
        raise UserError(
            f"{stage}: {len(anchors) or 'none'} of the {len(usable)} train tracks has {needed}, and a contrast needs "
            f"two; see the mp3 ledger for the reasons"
        )
    return anchors


def epochs_of(stage: str, inputs: StageInputs, recipe: Recipe) -> int:
    """The recipe's epochs; none for a stage within tracks where fewer than two of them have both, or for one that hears
    alone where fewer than two have a clip and a playlist to share."""
    has_audio, plan = inputs.train.mel_rows >= 0, PLANS[stage]
    usable = has_audio & inputs.train.has_text.numpy()
    if plan.hears_only:
        usable = has_audio & (inputs.graph.num_pairable > 0)
    if usable.sum() >= 2 or (plan.pairs and not plan.hears_only):
        return recipe.training.epochs_of(stage)
    needed = "a clip and a playlist to share" if plan.hears_only else "clip and caption"
    logger.warning("fewer than two train tracks have %s; the weights are handed on", needed)
    return 0
