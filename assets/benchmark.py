"""What the encoders are worth: embeddings, scores, and the paper's tables and figures."""

import dagster as dg

from assets.factory import asset_of, assets_in_one_process
from larp_core.encoders.catalogue import CATALOGUE
from larp_core.steps import Job

KINDS = {
    **{
        f"embeddings/{name}": {"parquet", "pytorch" if encoder.torch else "numpy"}
        for name, encoder in CATALOGUE.items()
    },
    **{f"scores/{encoder}": {"parquet", "numpy"} for encoder in ("metadata", *CATALOGUE)},
    "listening_page": {"html", "flac"},
    "table_1": {"parquet", "markdown"},
    "table_2": {"parquet", "markdown"},
    "table_3": {"parquet", "markdown"},
    "list_metrics": {"parquet", "markdown"},
    "slices": {"parquet", "markdown"},
    "differences": {"parquet", "markdown"},
    "figure_5": {"matplotlib", "png"},
}
"""Step: what the UI shows that it is made of."""

REPORTS = "reports"
"""The group of the tables and figures, which compare all datasets."""


def build(jobs: list[Job]) -> list[dg.AssetsDefinition]:
    ours = [job for job in jobs if job.step.name in KINDS]
    together = [job for job in ours if job.step.torch]
    return [
        *(asset_of(job, group=_group(job), kinds=KINDS[job.step.name]) for job in ours if not job.step.torch),
        *(
            assets_in_one_process(list(embeddings), name="embeddings", group=_group(embeddings[0]), kinds=KINDS)
            for embeddings in _by_dataset(together)
        ),
    ]


def _by_dataset(jobs: list[Job]) -> list[list[Job]]:
    return [[job for job in jobs if job.dataset == dataset] for dataset in dict.fromkeys(job.dataset for job in jobs)]


def _group(job: Job) -> str:
    return f"{job.dataset}_benchmark" if job.dataset else REPORTS
