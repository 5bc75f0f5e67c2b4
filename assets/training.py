"""The trained encoders: LARP's three stages with their rivals."""

import dagster as dg

from assets.factory import asset_of
from larp_core.steps import Job

STAGES = {
    "train_wtc": ("larp_wtc", "clap_ft"),
    "train_ttc": ("larp_ttc",),
    "train_tpc": ("larp_tpc", "larp_tpc_fusion", "larp_ttc_continued"),
}
"""Job: the encoders that it trains. A baseline stands beside the stage that it is compared with."""

ENCODERS = [encoder for encoders in STAGES.values() for encoder in encoders]


def build(jobs: list[Job]) -> list[dg.AssetsDefinition]:
    return [
        asset_of(job, group=f"{job.dataset}_training", kinds={"pytorch", "huggingface"}, gpu=True)
        for job in jobs
        if job.step.name in ENCODERS
    ]
