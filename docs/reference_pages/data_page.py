"""Every file that the pipeline writes: `larp_core.config.paths`."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from larp_core.config.paths import DatasetPaths, SharedPaths
from reference_pages.docstrings import escaped, table

DATA, DATASET = Path("/LARP_DATA"), "<dataset>"
MARK = "<!-- generated: paths -->"


def paths_tables() -> str:
    shared = table(("in Python", "path", "what it holds"), _rows(SharedPaths(DATA)))
    of_dataset = table(("in Python", "path", "what it holds"), _rows(DatasetPaths(DATA, DATASET)))
    return f"### Of one dataset: `DatasetPaths`\n\n{of_dataset}\n\n### Shared: `SharedPaths`\n\n{shared}\n"


def _rows(paths: SharedPaths | DatasetPaths) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for name, member in vars(type(paths)).items():
        if name.startswith("_") or not (isinstance(member, property) or inspect.isfunction(member)):
            continue
        function = member.fget if isinstance(member, property) else member
        given = list(inspect.signature(function).parameters)[1:] if function else []
        value: Any = getattr(paths, name)
        path: Path = value(*(f"<{argument}>" for argument in given)) if callable(value) else value
        called = f"`{name}({', '.join(given)})`" if given else f"`{name}`"
        said = escaped(inspect.getdoc(member) or "")
        rows.append((called, f"`{path.relative_to(DATA).as_posix()}`", said))
    return rows
