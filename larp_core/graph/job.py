"""A step of the graph, and a job: one step to be run for one dataset with the user's settings.

No work is done here and nothing heavy is imported. A step names the function that does its work by import path, and
says which arguments that function takes from a job: functions of the other packages know nothing of steps and jobs.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from larp_core.config.paths import DatasetPaths
from larp_core.config.recipes import Recipe
from larp_core.config.settings import Settings
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import stat_signature
from larp_core.runtime.locks import held
from larp_core.runtime.report import Report


@dataclass(frozen=True)
class Call:
    """A function named by its import path, `module:function`, and its keyword arguments, given a job."""

    path: str
    arguments: Callable[[Job], dict[str, Any]]

    @property
    def function(self) -> Callable[..., Any]:
        module, name = self.path.split(":")
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return function

    def __call__(self, job: Job, **more: Any) -> Any:
        return self.function(**self.arguments(job), **more)


@dataclass(frozen=True)
class Job:
    """One step to be run: its place in the graph and the user's settings.

    `steps` is the graph, by name: what the step's upstream is looked up in.
    """

    step: Step
    settings: Settings
    dataset: str = ""
    steps: Mapping[str, Step] = field(default_factory=dict, repr=False, compare=False)

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
    def name(self) -> str:
        return "/".join(self.key)

    @property
    def outputs(self) -> list[Path]:
        return self.step.outputs(self)

    @property
    def stamp(self) -> Path:
        """Where the finished run of this step is recorded."""
        folder = self.paths.steps if self.dataset else self.settings.shared.steps
        return folder / f"{self.step.name.replace('/', '__')}.json"

    @property
    def lock(self) -> Path:
        """Held by the process that runs this step."""
        return self.stamp.with_suffix(".lock")

    def upstream(self) -> list[Job]:
        """The jobs that this one reads from. A shared step reads its upstream steps of every dataset."""
        jobs = []
        for name in self.step.upstream(self.settings):
            step = self.steps[name]
            datasets = [""] if step.shared else [self.dataset] if self.dataset else list(self.settings.datasets)
            jobs += [Job(step, self.settings, dataset, self.steps) for dataset in datasets]
        return jobs

    def work(self) -> Report:
        report: Report = self.step.work(self)
        return report

    def is_due_again(self) -> bool:
        """Whether a finished run should be repeated all the same."""
        return self.step.again is not None and bool(self.step.again(self))

    def work_on_shard(self, number: int, count: int) -> Report:
        """One of `count` shares of the work, whose outcome the step's own run takes up.

        Raises:
            UserError: the step has no shards, or none of that number.
        """
        if self.step.shard is None:
            raise UserError(f"{self.step.name} can't be run in shards; leave --shard out")
        lock = self.stamp.with_suffix(f".{number}-of-{count}.lock")
        with contextlib.ExitStack() as own:
            with held(self.lock, self.name):  # while the step itself runs, no shard begins
                own.enter_context(held(lock, f"{self.name}, shard {number}-of-{count}"))
            report: Report = self.step.shard(self, number=number, count=count)
        return report


def _nothing(_: Any) -> list[Any]:
    return []


@dataclass(frozen=True)
class Step:
    """One node of the graph.

    Attributes:
        name: asset key below the dataset, file stem and table name alike.
        summary: one sentence for a person.
        work: what makes the outputs; it returns a `Report`.
        upstream: names of the steps read from, given the settings.
        outputs: files and folders written; the step is done when they are there as recorded.
        config: the part of the recipe that the outputs depend on; a change elsewhere doesn't touch them.
        external: files of the user's that are read.
        again: asks whether a finished run should be repeated all the same (outcomes that may change, lost files).
        repeatable: False where equal content gives other bytes (DuckDB writes random ids), and what comes after
            goes by the inputs instead.
        torch: True where the work needs torch and so runs in a process of its own.
        shared: True where the step belongs to no dataset.
        shard: does one of several shares of the work; it takes `number` and `count` too. None where it isn't divided.
        together: True where each of several training processes has to work, not the main one alone.
        kinds: what the web UI shows that the outputs are made of.
        version: raised when the code's meaning changes, so that old outputs are made again.
    """

    name: str
    summary: str
    work: Call
    upstream: Callable[[Settings], list[str]] = _nothing
    outputs: Callable[[Job], list[Path]] = _nothing
    config: Callable[[Job], Any] = _nothing
    external: Callable[[Job], list[Path]] = _nothing
    again: Call | None = None
    repeatable: bool = True
    torch: bool = False
    shared: bool = False
    shard: Call | None = None
    together: bool = False
    kinds: tuple[str, ...] = ()
    version: int = 1


def external_signature(job: Job) -> list[Any]:
    """Names, sizes and times of the user's files that a job reads; absent ones count as such."""
    return [[str(path), stat_signature(path) if path.exists() else None] for path in job.step.external(job)]
