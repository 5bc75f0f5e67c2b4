"""The recommenders that every encoder is scored under, in the order of the tables."""

from __future__ import annotations

from larp_core.benchmark.recommenders.itemknn import ItemKnn
from larp_core.benchmark.recommenders.recommender import Recommender
from larp_core.config import SIMILARITIES
from larp_core.recipes import Recipe


def recommenders_of(recipe: Recipe) -> list[Recommender]:
    """ItemKNN by the recipe's similarity and the learned ones, which need torch; then ItemKNN by other similarities."""
    from larp_core.benchmark.recommenders.clcrec import Clcrec
    from larp_core.benchmark.recommenders.dropoutnet import DropoutNet

    ours, config = recipe.evaluation.similarity, recipe.recommenders
    return [
        ItemKnn(ours),
        DropoutNet(config.dropoutnet, config.fitting),
        Clcrec(config.clcrec, config.fitting),
        *(ItemKnn(similarity, is_variant=True) for similarity in SIMILARITIES if similarity != ours),
    ]
