"""Jobs that run on small files, and the folder of real samples."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from larp_core.audio.clip_shards import SCHEMA as CLIPS_SCHEMA
from larp_core.config import SplitConfig
from larp_core.recipes import DEMO
from larp_core.settings import Settings
from larp_core.steps import Job, step_named

DATA_STEPS = ("source", "playlists", "cold_start_split", "metadata", "captions")


@pytest.fixture(scope="session")
def sample_data() -> Path:
    default = Path(__file__).parents[4] / "shared" / "data"
    folder = Path(os.environ.get("LARP_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"real sample data is not at {folder}; set LARP_TEST_DATA to the folder that holds mpd/ and lfm2b/")
    return folder


@pytest.fixture
def make_job(tmp_path: Path) -> Callable[..., Job]:
    def make(
        step: str, raw: Path | None, dataset: str = "mpd", split: SplitConfig | None = None, **sections: Any
    ) -> Job:
        recipe = replace(DEMO, split=split or SplitConfig(min_tracks=2), **sections)
        folders: dict[str, Any] = {f"{dataset}_dir": raw} if raw else {}
        return Job(step_named(step), Settings(tmp_path / "out", recipe, (dataset,), **folders), dataset)

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
