"""The graph's steps: what each one reads, writes and depends on. No work is done here and nothing heavy is imported.

A step is a function `work(job: Job) -> Report` named by its import path. The assets are made from this list, and
`python -m larp_core run <step>` runs the same step by hand.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from larp_core.config.paths import DatasetPaths
from larp_core.config.recipes import Recipe
from larp_core.config.settings import Settings
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import stat_signature


@dataclass(frozen=True)
class Report:
    """What a step tells a person: rows, figures, small tables (`title -> rows`), pictures (`title -> PNG path`) and
    notebooks (`title -> .ipynb path`)."""

    num_rows: int
    facts: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    notebooks: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Job:
    """One step to be run: its place in the graph and the user's settings."""

    step: Step
    settings: Settings
    dataset: str = ""

    @property
    def recipe(self) -> Recipe:
        return self.settings.recipe

    @property
    def paths(self) -> DatasetPaths:
        return self.settings.paths(self.dataset)

    @property
    def encoder(self) -> str:
        """The last part of the step's name: `embeddings/larp_wtc` and `larp_wtc` are both about `larp_wtc`."""
        return self.step.name.rsplit("/", 1)[-1]

    @property
    def key(self) -> tuple[str, ...]:
        return (*([self.dataset] if self.dataset else []), *self.step.name.split("/"))

    @property
    def outputs(self) -> list[Path]:
        return self.step.outputs(self)

    @property
    def stamp(self) -> Path:
        """Where the finished run of this step is recorded."""
        folder = self.paths.steps if self.dataset else self.settings.shared.steps
        return folder / f"{self.step.name.replace('/', '__')}.json"

    def upstream(self) -> list[Job]:
        """The jobs that this one reads from. A shared step reads its upstream steps of every dataset."""
        jobs = []
        for name in self.step.upstream(self.settings):
            step = step_named(name)
            datasets = [""] if step.shared else [self.dataset] if self.dataset else list(self.settings.datasets)
            jobs += [Job(step, self.settings, dataset) for dataset in datasets]
        return jobs

    def work(self) -> Report:
        module, function = self.step.work.split(":")
        return getattr(importlib.import_module(module), function)(self)

    def work_on_shard(self, number: int, count: int) -> Report:
        """One of `count` shares of the work, whose outcome the step's own run takes up.

        Raises:
            UserError: the step has no shards, or none of that number.
        """
        if self.step.shard is None:
            raise UserError(f"{self.step.name} can't be run in shards; leave --shard out")
        module, function = self.step.shard.split(":")
        return getattr(importlib.import_module(module), function)(self, number, count)


def _nothing(_: Any) -> list[Any]:
    return []


def _never(_: Any) -> bool:
    return False


@dataclass(frozen=True)
class Step:
    """One node of the graph.

    Attributes:
        name: asset key below the dataset, file stem and table name alike.
        summary: one sentence for a person.
        work: `module:function`.
        upstream: names of the steps read from, given the settings.
        outputs: files and folders written; the step is done when they are there as recorded.
        config: the part of the recipe that the outputs depend on; a change elsewhere doesn't touch them.
        external: files of the user's that are read.
        again: True where a finished run should be repeated all the same (outcomes that may change, lost files).
        repeatable: False where equal content gives other bytes (DuckDB writes random ids), and what comes after
            goes by the inputs instead.
        torch: True where the work needs torch and so runs in a process of its own.
        shared: True where the step belongs to no dataset.
        shard: `module:function` that does one of several shares of the work; None where it isn't divided.
        version: raised when the code's meaning changes, so that old outputs are made again.
    """

    name: str
    summary: str
    work: str
    upstream: Callable[[Settings], list[str]] = _nothing
    outputs: Callable[[Job], list[Path]] = _nothing
    config: Callable[[Job], Any] = _nothing
    external: Callable[[Job], list[Path]] = _nothing
    again: Callable[[Job], bool] = _never
    repeatable: bool = True
    torch: bool = False
    shared: bool = False
    shard: str | None = None
    version: int = 1


def external_signature(job: Job) -> list[Any]:
    """Names, sizes and times of the user's files that a job reads; absent ones count as such."""
    return [[str(path), stat_signature(path) if path.exists() else None] for path in job.step.external(job)]


def step_named(name: str) -> Step:
    """Raises UserError where there is no such step."""
    from larp_core.graph.registry import STEPS

    if name not in STEPS:
        raise UserError(f"unknown step '{name}'; choose from {', '.join(STEPS)}")
    return STEPS[name]
