"""The list of steps, in the order of the data's flow, from raw files to tables: `larp_core/graph/` describes them."""

from __future__ import annotations

from larp_core.config.settings import Settings
from larp_core.graph.benchmark import BENCHMARK
from larp_core.graph.encoders import EMBEDDINGS, SENSITIVITY, TRAINING
from larp_core.graph.ingest import INGEST
from larp_core.graph.job import Job

STEPS = {step.name: step for step in (*INGEST, *TRAINING, *EMBEDDINGS, *BENCHMARK, *SENSITIVITY)}


def jobs_of(settings: Settings) -> list[Job]:
    """Every step of the graph for these settings, each after what it depends on."""
    jobs = []
    for step in STEPS.values():
        if step.name == "demo_world" and not settings.is_demo:
            continue
        jobs += [Job(step, settings, dataset) for dataset in ([""] if step.shared else settings.datasets)]
    return sorted(jobs, key=lambda job: job.step.shared and job.step.name != "demo_world")
