"""What can be launched by name. Unchanged work is reused, so a job may name all that it needs."""

import os
from typing import Any

import dagster as dg

from assets import benchmark, sensitivity, training
from larp_core.config.settings import Settings

TRAIN_ALL = "train_all"
QUIET_CONSOLE = {"loggers": {"console": {"config": {"log_level": "INFO"}}}}
"""The terminal shows what each step says; Dagster's own events stay in the UI."""

PRELOADED = ["pipeline.definitions", "dagster._core.storage.sqlite_storage"]
"""What takes a step longest to import; a module that is not there is passed over."""


def jobs_for(settings: Settings) -> list[Any]:
    """`ingest`, one job per training stage, `benchmark`, `train_all`, which is everything but `sensitivity`.

    They are typed Any because Dagster doesn't export their class.
    """

    def job(name: str, selection: dg.AssetSelection, description: str) -> Any:
        tags = {"recipe": settings.recipe.name, "data": str(settings.data_dir)}
        return dg.define_asset_job(name, selection, description=description, run_tags=tags, config=QUIET_CONSOLE)

    def steps(*names: str) -> dg.AssetSelection:
        return dg.AssetSelection.assets(*([dataset, name] for dataset in settings.datasets for name in names))

    groups = [f"{dataset}_benchmark" for dataset in settings.datasets]
    ingest = [f"{dataset}_ingest" for dataset in settings.datasets] + ["demo_world"] * settings.is_demo
    return [
        job("ingest", dg.AssetSelection.groups(*ingest), "From raw files to clips, mels and the interaction graph."),
        *(
            job(name, steps(*encoders).upstream(), f"Trains {', '.join(encoders)}, after all that they need.")
            for name, encoders in training.STAGES_OF.items()
        ),
        job(
            "benchmark",
            dg.AssetSelection.groups(*groups, benchmark.GROUP),
            "Embeddings, scores and tables of the encoders that have been trained.",
        ),
        job(
            TRAIN_ALL,
            dg.AssetSelection.all() - sensitivity.own_assets(settings),
            "Everything, from raw files to trained models, tables and figures, but for figure 4.",
        ),
        job(
            sensitivity.JOB,
            sensitivity.own_assets(settings),
            "Figure 4: stage 3 of a trained LARP once more for each number of tracks that stand for a playlist.",
        ),
    ]


def executor() -> dg.ExecutorDefinition:
    """A process per step, as many side by side as there are cores.

    Steps are forked from a process that has the definitions loaded, which is safe as long as these start no thread:
    no numpy, polars or torch.
    """
    return dg.multiprocess_executor.configured(
        {
            "max_concurrent": max(2, os.cpu_count() or 1),
            "start_method": {"forkserver": {"preload_modules": PRELOADED}},
        }
    )
