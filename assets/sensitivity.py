"""Figure 4's trainings: stage 3 with other numbers of tracks for a playlist, in a job of their own, `sensitivity`."""

import dagster as dg

from assets.factory import asset_of
from larp_core.config.encoders import NEIGHBOUR_COUNTS
from larp_core.config.settings import Settings
from larp_core.graph.job import Job

JOB = "sensitivity"
TRAININGS = tuple(f"sensitivity/j_{count}" for count in NEIGHBOUR_COUNTS)
FIGURE = "figure_4"


def build(jobs: list[Job]) -> list[dg.AssetsDefinition]:
    trainings = [job for job in jobs if job.step.name in TRAININGS]
    figures = [job for job in jobs if job.step.name == FIGURE]
    return [
        *(asset_of(job, group=f"{job.dataset}_{JOB}", gpu=True) for job in trainings),
        *(asset_of(job, group=JOB) for job in figures),
    ]


def own_assets(settings: Settings) -> dg.AssetSelection:
    """What no other job makes."""
    return dg.AssetSelection.groups(JOB, *(f"{dataset}_{JOB}" for dataset in settings.datasets))
