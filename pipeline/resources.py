"""The resources that the assets are given."""

from typing import Any

import dagster as dg

from larp_core.config.settings import Settings


def resources_of(settings: Settings) -> dict[str, Any]:
    return {
        "settings": settings,
        # Unbuffered, so that the child's lines reach the log as they are printed.
        "pipes": dg.PipesSubprocessClient(env={"PYTHONUNBUFFERED": "1"}),
    }
