"""LARP (KDD 2024): playlist continuation learned from sound, captions and playlists.

What stands here is for notebooks and other programs; it is loaded when it is first used, and torch with it.

    >>> import larp_core
    >>> dataset = larp_core.FinishedDataset("data", "mpd")
    >>> track_ids, vectors = dataset.vectors("larp_tpc")
    >>> model = larp_core.LarpModel.from_pretrained(dataset.paths.model("larp_tpc"))
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from larp_core.config.datasets import DATASETS, DatasetSpec
    from larp_core.config.encoders import CATALOGUE, Encoder
    from larp_core.config.environment import make_settings, settings_from
    from larp_core.config.paths import DatasetPaths
    from larp_core.config.recipes import RECIPES, Recipe, recipe_named
    from larp_core.config.settings import Settings
    from larp_core.config.stages import STAGES, Stage
    from larp_core.finished import FinishedDataset
    from larp_core.model import LarpConfig, LarpModel, LarpProcessor
    from larp_core.runtime.errors import UserError

_PLACES = {
    "CATALOGUE": "config.encoders",
    "DATASETS": "config.datasets",
    "DatasetPaths": "config.paths",
    "DatasetSpec": "config.datasets",
    "Encoder": "config.encoders",
    "FinishedDataset": "finished",
    "LarpConfig": "model",
    "LarpModel": "model",
    "LarpProcessor": "model",
    "RECIPES": "config.recipes",
    "Recipe": "config.recipes",
    "STAGES": "config.stages",
    "Settings": "config.settings",
    "Stage": "config.stages",
    "UserError": "runtime.errors",
    "make_settings": "config.environment",
    "recipe_named": "config.recipes",
    "settings_from": "config.environment",
}

__all__ = [
    "CATALOGUE",
    "DATASETS",
    "RECIPES",
    "STAGES",
    "DatasetPaths",
    "DatasetSpec",
    "Encoder",
    "FinishedDataset",
    "LarpConfig",
    "LarpModel",
    "LarpProcessor",
    "Recipe",
    "Settings",
    "Stage",
    "UserError",
    "make_settings",
    "recipe_named",
    "settings_from",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'larp_core' has no attribute '{name}'")
    return getattr(importlib.import_module(f"larp_core.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
