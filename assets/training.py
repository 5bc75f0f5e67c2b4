"""The trained encoders: LARP's three stages with their rivals."""

import dagster as dg

from assets.factory import asset_of
from larp_core.config.encoders import TRAINED
from larp_core.graph.job import Job

JOBS = ("train_wtc", "train_ttc", "train_tpc")
STAGES = {job: tuple(name for name, training in TRAINED.items() if training.job == job) for job in JOBS}
"""Job: the encoders that it trains."""


def build(jobs: list[Job]) -> list[dg.AssetsDefinition]:
    return [
        asset_of(job, group=f"{job.dataset}_training", kinds={"pytorch", "huggingface"}, gpu=True)
        for job in jobs
        if job.step.name in TRAINED
    ]
