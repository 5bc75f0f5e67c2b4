"""What the encoders are worth: embeddings, scores, and the paper's tables and figures."""

import dagster as dg

from assets import sensitivity
from assets.factory import asset_of, assets_in_one_process
from larp_core.graph.encoders import EMBEDDINGS
from larp_core.graph.evaluation import EVALUATION
from larp_core.graph.job import Job
from larp_core.graph.report import REPORTS

STEPS = {step.name for step in (*EMBEDDINGS, *EVALUATION, *REPORTS)} - {sensitivity.FIGURE}

GROUP = "reports"
"""The group of the tables and figures, which compare all datasets."""


def build(jobs: list[Job]) -> list[dg.AssetsDefinition]:
    ours = [job for job in jobs if job.step.name in STEPS]
    together = [job for job in ours if job.step.torch and job.dataset]
    alone = [job for job in ours if job not in together]
    return [
        *(asset_of(job, group=_group(job)) for job in alone),
        *(
            assets_in_one_process(alike, name=folder, group=_group(alike[0]))
            for (_, folder), alike in _alike(together).items()
        ),
    ]


def _alike(jobs: list[Job]) -> dict[tuple[str, str], list[Job]]:
    """By dataset, and by `embeddings` or `scores`."""
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.dataset, job.step.name.split("/")[0]), []).append(job)
    return groups


def _group(job: Job) -> str:
    return f"{job.dataset}_benchmark" if job.dataset else GROUP
