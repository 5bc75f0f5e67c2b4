"""Steps that need torch run in a process of their own, which reports its progress through Dagster Pipes.

The command is the one that a person would type; nothing but its words is handed over.
"""

import dataclasses
import sys
from collections.abc import Sequence

import dagster as dg

from larp_core.config.settings import VARIABLES
from larp_core.graph import memo
from larp_core.graph.job import Job
from larp_core.runtime.errors import UserError


def run_apart(
    jobs: Sequence[Job], context: dg.AssetExecutionContext, pipes: dg.PipesSubprocessClient
) -> list[memo.Finished]:
    """Runs jobs of one dataset through the command line, all in one process.

    Raises:
        UserError: the step's own, as the child told it.
        dagster.DagsterPipesExecutionError: the child crashed or was killed.
    """
    messages = pipes.run(context=context, command=command_of(jobs)).get_custom_messages()
    for message in messages:
        if "user_error" in message:
            raise UserError(message["user_error"])
    return [_just_finished(job) for job in jobs]


def _just_finished(job: Job) -> memo.Finished:
    done = memo.finished(job)
    if done is None:
        raise UserError(f"{'/'.join(job.key)}: its inputs changed while it ran; run it again")
    return dataclasses.replace(done, reused=False)


def command_of(jobs: Sequence[Job]) -> list[str]:
    """`python -m larp_core run <step> ...` with every setting as an option."""
    settings = jobs[0].settings
    options = {name: getattr(settings, name) for name in VARIABLES.values()} | {
        "dataset": jobs[0].dataset,
        "recipe": settings.recipe.name,
        "datasets": ",".join(settings.datasets),
    }
    given = [word for name, value in options.items() if value for word in (f"--{name.replace('_', '-')}", str(value))]
    return [sys.executable, "-m", "larp_core", "run", *(job.step.name for job in jobs), *given]
