"""What the encoders are worth: embeddings, scores, and the paper's tables and figures."""

import dagster as dg

from assets.factory import asset_of, assets_in_one_process
from larp_core.config.encoders import CATALOGUE
from larp_core.graph.job import Job

KINDS = {
    **{
        f"embeddings/{name}": {"parquet", "pytorch" if encoder.torch else "numpy"}
        for name, encoder in CATALOGUE.items()
    },
    **{f"scores/{encoder}": {"parquet", "pytorch"} for encoder in CATALOGUE},
    "scores/metadata": {"parquet", "numpy"},
    "scores/hybrid": {"parquet", "numpy"},
    "wmf": {"parquet", "numpy"},
    "listening_page": {"html", "flac"},
    "table_1": {"parquet", "markdown"},
    "table_2": {"parquet", "markdown"},
    "table_3": {"parquet", "markdown"},
    "transfer": {"parquet", "pytorch"},
    "table_4": {"parquet", "markdown"},
    "figure_3": {"matplotlib", "png"},
    "list_metrics": {"parquet", "markdown"},
    "slices": {"parquet", "markdown"},
    "differences": {"parquet", "markdown"},
    "report": {"html"},
    "figure_5": {"matplotlib", "png"},
}
"""Step: what the UI shows that it is made of."""

REPORTS = "reports"
"""The group of the tables and figures, which compare all datasets."""


def build(jobs: list[Job]) -> list[dg.AssetsDefinition]:
    ours = [job for job in jobs if job.step.name in KINDS]
    together = [job for job in ours if job.step.torch and job.dataset]
    alone = [job for job in ours if job not in together]
    return [
        *(asset_of(job, group=_group(job), kinds=KINDS[job.step.name]) for job in alone),
        *(
            assets_in_one_process(alike, name=folder, group=_group(alike[0]), kinds=KINDS)
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
    return f"{job.dataset}_benchmark" if job.dataset else REPORTS
