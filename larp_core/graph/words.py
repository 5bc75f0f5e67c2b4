"""The few words in which steps say what they read and write."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any


def after(*names: str) -> Any:
    return lambda settings: list(names)


def recipe(*sections: str) -> Any:
    return lambda job: {name: asdict(getattr(job.recipe, name)) for name in sections}


def existing(path: Path | None) -> list[Path]:
    return [path] if path else []


def reports(*names: str) -> Any:
    return lambda job: [job.settings.shared.reports / name for name in names]
