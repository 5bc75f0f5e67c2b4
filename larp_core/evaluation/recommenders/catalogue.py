"""The recommenders that every encoder is scored under, in the order of the tables."""

from __future__ import annotations

from pathlib import Path

from larp_core.config import SIMILARITIES
from larp_core.config.recipes import Recipe
from larp_core.evaluation.recommenders.itemknn import ItemKnn
from larp_core.evaluation.recommenders.nearest_seed import NearestSeed
from larp_core.evaluation.recommenders.recommender import Recommender
from larp_core.evaluation.recommenders.tuned import CLCREC_SPACE, DROPOUTNET_SPACE, ITEMKNN_SPACE, Space, Tuned


def recommenders_of(recipe: Recipe, journal: Path) -> list[Recommender]:
    """ItemKNN by the recipe's similarity and the learned ones, which need torch; then ItemKNN by other similarities
    and by the nearest seed.

    Where the recipe has tuning trials, the first three are tuned, and `journal` is the file that keeps the trials.
    """
    from larp_core.evaluation.recommenders.clcrec import Clcrec
    from larp_core.evaluation.recommenders.dropoutnet import DropoutNet

    config, num_trials = recipe.recommenders, recipe.evaluation.tuning_trials
    ours: list[tuple[Recommender, Space]] = [
        (ItemKnn(recipe.evaluation.similarity), ITEMKNN_SPACE),
        (DropoutNet(config.dropoutnet, config.fitting), DROPOUTNET_SPACE),
        (Clcrec(config.clcrec, config.fitting), CLCREC_SPACE),
    ]
    tuned = [Tuned(base, space, num_trials, journal) if num_trials else base for base, space in ours]
    return [*tuned, *_variants(recipe)]


def variants_of(recipe: Recipe) -> list[str]:
    """Names of ItemKNN by the similarities that are not the recipe's, and by the nearest seed."""
    return [variant.name for variant in _variants(recipe)]


def _variants(recipe: Recipe) -> list[Recommender]:
    ours = recipe.evaluation.similarity
    others = [ItemKnn(similarity, is_variant=True) for similarity in SIMILARITIES if similarity != ours]
    return [*others, NearestSeed()]
