"""From raw files to what a model reads: tables, split, captions, audio, clips, mels, graph."""

import dagster as dg

from assets.factory import asset_of
from larp_core.graph.ingest import INGEST
from larp_core.graph.job import Job

STEPS = {step.name for step in INGEST}


def build(jobs: list[Job]) -> list[dg.AssetsDefinition]:
    return [
        asset_of(job, group=f"{job.dataset}_ingest" if job.dataset else "demo_world")
        for job in jobs
        if job.step.name in STEPS
    ]
