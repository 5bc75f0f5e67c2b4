"""Steps name functions by import path: each is there, and takes what the step hands over."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from larp_core.config.recipes import RECIPES
from larp_core.config.settings import Settings
from larp_core.graph import memo
from larp_core.graph.job import Call, Job
from larp_core.graph.registry import STEPS, job_named, jobs_of
from larp_core.runtime.errors import UserError


def calls_of(job: Job) -> list[tuple[Call, dict[str, int]]]:
    """The step's calls, each with what it is given beside the arguments."""
    step = job.step
    shard = [(step.shard, {"number": 1, "count": 4})] if step.shard else []
    return [(step.work, {}), *([(step.again, {})] if step.again else []), *shard]


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("recipe", ["smoke", "paper"])
def test_every_function_takes_what_its_step_hands_over(
    name: str, recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memo, "fingerprint", lambda job: "")
    monkeypatch.setattr(memo, "upstream_digests", lambda job: {})
    settings = Settings(tmp_path, RECIPES[recipe], ("mpd", "lfm"))
    job = job_named(name, settings, "mpd")
    for call, more in calls_of(job):
        inspect.signature(call.function).bind(**call.arguments(job), **more)


def test_upstream_steps_are_the_graphs_own(tmp_path: Path) -> None:
    jobs = jobs_of(Settings(tmp_path, RECIPES["smoke"], ("mpd", "lfm")))
    order = [job.key for job in jobs]
    for job in jobs:
        for parent in job.upstream():
            assert parent.step is STEPS[parent.step.name]
            assert order.index(parent.key) < order.index(job.key)


def test_a_step_without_shards_says_so(tmp_path: Path) -> None:
    job = job_named("mels", Settings(tmp_path, RECIPES["smoke"], ("mpd",)), "mpd")
    with pytest.raises(UserError, match="mels can't be run in shards; leave --shard out"):
        job.work_on_shard(1, 2)
