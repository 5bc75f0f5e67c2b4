"""The registry of steps, in the order of the data's flow, from raw files to tables; files beside it describe them."""

from __future__ import annotations

import difflib

from larp_core.config.settings import Settings
from larp_core.graph.encoders import EMBEDDINGS, SENSITIVITY, TRAINING
from larp_core.graph.evaluation import EVALUATION
from larp_core.graph.ingest import INGEST
from larp_core.graph.job import Job, Step
from larp_core.graph.report import REPORTS
from larp_core.runtime.errors import UserError

STEPS = {step.name: step for step in (*INGEST, *TRAINING, *EMBEDDINGS, *EVALUATION, *REPORTS, *SENSITIVITY)}


def step_named(name: str) -> Step:
    """Raises UserError where there is no such step."""
    if name not in STEPS:
        near = difflib.get_close_matches(name, STEPS, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise UserError(f"unknown step '{name}'; {hint}`larp steps` lists them")
    return STEPS[name]


def job_named(name: str, settings: Settings, dataset: str = "") -> Job:
    """The job of the step of that name; a shared step belongs to no dataset.

    Raises:
        UserError: there is no such step.
    """
    step = step_named(name)
    return Job(step, settings, "" if step.shared else dataset, STEPS)


def jobs_of(settings: Settings) -> list[Job]:
    """Every step of the graph for these settings, each after what it depends on."""
    jobs = []
    for step in STEPS.values():
        if step.name == "demo_world" and not settings.is_demo:
            continue
        jobs += [Job(step, settings, dataset, STEPS) for dataset in ([""] if step.shared else settings.datasets)]
    return sorted(jobs, key=lambda job: job.step.shared and job.step.name != "demo_world")
