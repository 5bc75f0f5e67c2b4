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

    config = recipe.recommenders
    return [
        ItemKnn(recipe.evaluation.similarity),
        DropoutNet(config.dropoutnet, config.fitting),
        Clcrec(config.clcrec, config.fitting),
        *_variants(recipe),
    ]


def variants_of(recipe: Recipe) -> list[str]:
    """Names of ItemKNN by the similarities that are not the recipe's."""
    return [variant.name for variant in _variants(recipe)]


def _variants(recipe: Recipe) -> list[ItemKnn]:
    ours = recipe.evaluation.similarity
    return [ItemKnn(similarity, is_variant=True) for similarity in SIMILARITIES if similarity != ours]
