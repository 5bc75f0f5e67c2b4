"""The one builder of the definitions, used by real runs and by tests alike."""

import sys
from collections.abc import Mapping
from typing import Any

import dagster as dg

from assets import benchmark, checks, ingest, sensitivity, training
from larp_core.config.environment import settings_from
from larp_core.config.settings import Settings
from larp_core.graph.registry import jobs_of
from larp_core.runtime.errors import UserError
from pipeline.console import one_line_console
from pipeline.jobs import executor, jobs_for
from pipeline.resources import resources_of
from pipeline.schedules import weekly_retrain
from pipeline.sensors import new_files


def build_definitions(
    settings: Settings | None = None, resource_overrides: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """The whole code location for `settings`, by default those of the environment.

    Raises:
        UserError: an unknown recipe or dataset, or a dataset named without its folder.
    """
    settings = settings or settings_from()
    steps = jobs_of(settings)
    assets = [*ingest.build(steps), *training.build(steps), *benchmark.build(steps), *sensitivity.build(steps)]
    return dg.Definitions(
        assets=assets,
        asset_checks=[
            check(dataset) for dataset in settings.datasets for check in (checks.no_leaks, checks.ready_for_audio)
        ],
        jobs=jobs_for(settings),
        schedules=[weekly_retrain],
        sensors=[new_files(settings, assets)],
        resources={**resources_of(settings), **(resource_overrides or {})},
        executor=executor(),
        loggers={"console": one_line_console},
    )


def _definitions_or_exit() -> dg.Definitions:
    """A person at a terminal gets one line; a code server stays up, so that the web UI can show the line and reload."""
    try:
        return build_definitions()
    except UserError as error:
        if sys.argv[1:3] == ["api", "grpc"]:
            raise
        print(f"larp: {error}", file=sys.stderr)
        raise SystemExit(2) from None


defs = _definitions_or_exit()
