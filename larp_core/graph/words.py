"""The few words in which steps say what they read and write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from larp_core.config.settings import Settings
from larp_core.graph.job import Call, Job


def after(*names: str) -> Callable[[Settings], list[str]]:
    return lambda settings: list(names)


def recipe(*sections: str) -> Callable[[Job], dict[str, Any]]:
    return lambda job: {name: asdict(getattr(job.recipe, name)) for name in sections}


def existing(path: Path | None) -> list[Path]:
    return [path] if path else []


def reports(*names: str) -> Callable[[Job], list[Path]]:
    return lambda job: [job.settings.shared.reports / name for name in names]


def of_paths(function: str) -> Call:
    """A call that takes the dataset's paths alone."""
    return Call(function, lambda job: {"paths": job.paths})


def of_settings(function: str) -> Call:
    """A call that takes all settings: work that compares datasets."""
    return Call(function, lambda job: {"settings": job.settings})


def of_section(function: str, section: str) -> Call:
    """A call that takes the dataset's paths and one section of the recipe, as `config`."""
    return Call(function, lambda job: {"paths": job.paths, "config": getattr(job.recipe, section)})
