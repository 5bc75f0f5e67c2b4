"""The user's environment variables, read here and nowhere else, and the resources made from them."""

import os
from collections.abc import Mapping
from typing import Any

import dagster as dg

from larp_core.errors import UserError
from larp_core.files import make_folder
from larp_core.settings import Settings, make_settings

VARIABLES = {
    "LARP_DATA": "data_dir",
    "LARP_RECIPE": "recipe",
    "LARP_DATASETS": "datasets",
    "LARP_MPD_DIR": "mpd_dir",
    "LARP_LFM_DIR": "lfm_dir",
    "LARP_AUDIO_DIR": "audio_dir",
}


def settings_from(environment: Mapping[str, str] = os.environ) -> Settings:
    """An empty variable counts as an absent one. What can be seen to be wrong at once is said before anything is run.

    Raises:
        UserError: see `make_settings`; also a folder that isn't there, or a data folder that can't be written.
    """
    settings = make_settings(**{name: environment[key] for key, name in VARIABLES.items() if environment.get(key)})
    make_folder(settings.data_dir)
    for variable in ("LARP_MPD_DIR", "LARP_LFM_DIR", "LARP_AUDIO_DIR"):
        folder = getattr(settings, VARIABLES[variable])
        if folder is not None and not folder.is_dir():
            raise UserError(f"{variable}: {folder} is not a folder; correct it, or unset {variable}")
    return settings


def resources_of(settings: Settings) -> dict[str, Any]:
    return {
        "settings": settings,
        # Unbuffered, so that the child's lines reach the log as they are printed.
        "pipes": dg.PipesSubprocessClient(env={"PYTHONUNBUFFERED": "1"}),
    }
