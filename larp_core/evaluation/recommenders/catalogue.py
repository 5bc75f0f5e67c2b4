"""The recommenders that every encoder is scored under, in the order of the tables."""

from __future__ import annotations

from pathlib import Path

from larp_core.config import SIMILARITIES, EvaluationConfig
from larp_core.config.recommenders import RecommendersConfig
from larp_core.evaluation.recommenders.itemknn import ItemKnn
from larp_core.evaluation.recommenders.nearest_seed import NearestSeed
from larp_core.evaluation.recommenders.recommender import Recommender
from larp_core.evaluation.recommenders.tuned import CLCREC_SPACE, DROPOUTNET_SPACE, ITEMKNN_SPACE, Space, Tuned


def recommenders_of(config: EvaluationConfig, recommenders: RecommendersConfig, journal: Path) -> list[Recommender]:
    """ItemKNN by the recipe's similarity and the learned ones, which need torch; then ItemKNN by other similarities
    and by the nearest seed.

    Where the recipe has tuning trials, the first three are tuned, and `journal` is the file that keeps the trials.
    """
    from larp_core.evaluation.recommenders.clcrec import Clcrec
    from larp_core.evaluation.recommenders.dropoutnet import DropoutNet

    num_trials = config.tuning_trials
    ours: list[tuple[Recommender, Space]] = [
        (ItemKnn(config.similarity), ITEMKNN_SPACE),
        (DropoutNet(recommenders.dropoutnet, recommenders.fitting), DROPOUTNET_SPACE),
        (Clcrec(recommenders.clcrec, recommenders.fitting), CLCREC_SPACE),
    ]
    tuned = [Tuned(base, space, num_trials, journal) if num_trials else base for base, space in ours]
    return [*tuned, *_variants(config)]


def variants_of(config: EvaluationConfig) -> list[str]:
    """Names of ItemKNN by the similarities that are not the recipe's, and by the nearest seed."""
    return [variant.name for variant in _variants(config)]


def _variants(config: EvaluationConfig) -> list[Recommender]:
    others = [ItemKnn(name, is_variant=True) for name in SIMILARITIES if name != config.similarity]
    return [*others, NearestSeed()]
