"""Fixtures: jobs of the data steps that run on small files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from larp_core.audio.clips.shards import SCHEMA as CLIPS_SCHEMA
from larp_core.config import SplitConfig
from larp_core.config.recipes import DEMO
from larp_core.config.settings import Settings
from larp_core.graph.job import Job
from larp_core.graph.registry import job_named

DATA_STEPS = ("source", "playlists", "cold_start_split", "metadata", "captions")


@pytest.fixture
def make_job(tmp_path: Path) -> Callable[..., Job]:
    def make(
        step: str, raw: Path | None, dataset: str = "mpd", split: SplitConfig | None = None, **sections: Any
    ) -> Job:
        recipe = replace(DEMO, split=split or SplitConfig(min_tracks=2), **sections)
        folders: dict[str, Any] = {f"{dataset}_dir": raw} if raw else {}
        return job_named(step, Settings(tmp_path / "out", recipe, (dataset,), **folders), dataset)

    return make


@pytest.fixture
def run_steps(make_job: Callable[..., Job]) -> Callable[..., Job]:
    """Runs the data steps up to `last` in order and returns the last job."""

    def run(last: str, raw: Path, dataset: str = "mpd", **options: Any) -> Job:
        for name in DATA_STEPS:
            job = make_job(name, raw, dataset, **options)
            job.work()
            if name == last:
                return job
        pl.DataFrame(schema=CLIPS_SCHEMA).write_parquet(job.paths.clips)
        job = make_job(last, raw, dataset, **options)
        job.work()
        return job

    return run
