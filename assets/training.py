"""The trained encoders: LARP's three stages with their rivals."""

import dagster as dg

from assets.factory import asset_of
from larp_core.config.stages import STAGES
from larp_core.graph.job import Job

JOBS = ("train_wtc", "train_ttc", "train_tpc")
STAGES_OF = {job: tuple(name for name, stage in STAGES.items() if stage.job == job) for job in JOBS}
"""Job: the stages that it trains."""


def build(jobs: list[Job]) -> list[dg.AssetsDefinition]:
    return [asset_of(job, group=f"{job.dataset}_training", gpu=True) for job in jobs if job.step.name in STAGES]
