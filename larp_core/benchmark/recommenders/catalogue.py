"""The recommenders that every encoder is scored under, in the order of the tables."""

from __future__ import annotations

from larp_core.benchmark.recommenders.itemknn import ItemKnn
from larp_core.benchmark.recommenders.recommender import Recommender
from larp_core.config import SIMILARITIES
from larp_core.recipes import Recipe


def recommenders_of(recipe: Recipe) -> list[Recommender]:
    """ItemKNN by the recipe's similarity first, then by the others."""
    ours = recipe.evaluation.similarity
    others = [similarity for similarity in SIMILARITIES if similarity != ours]
    return [ItemKnn(ours), *(ItemKnn(similarity, is_variant=True) for similarity in others)]
