"""What `docs/reference/data.md` says of the columns of each table, and what the tables really have."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
from places import ROOT

PAGE = ROOT / "docs" / "reference" / "data.md"
HEADING = re.compile(r"^### (.*)$")
NAME = re.compile(r"`([^`]+)`")


def documented_columns() -> dict[str, set[str]]:
    """By the file's name as the page has it, such as `scores/<encoder>.parquet`: the columns named below it."""
    columns: dict[str, set[str]] = {}
    files: list[str] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if heading := HEADING.match(line):
            files = NAME.findall(heading[1])
            columns |= {file: set() for file in files}
        elif files and line.startswith("| "):
            for file in files:
                columns[file] |= set(NAME.findall(line.split("|")[1]))
    columns["metadata.parquet"] |= columns["tracks.parquet"]
    return columns


def undocumented(dataset: Path, documented: dict[str, set[str]]) -> list[str]:
    """Columns of a finished dataset's tables that the page doesn't have, as `file: column`."""
    missing = []
    for path in sorted(dataset.rglob("*.parquet")):
        name = path.relative_to(dataset).as_posix()
        if not name.startswith("parts/"):
            known = documented.get(general(name), set())
            missing += [f"{name}: {column}" for column in pl.read_parquet_schema(path) if column not in known]
    return missing


def general(name: str) -> str:
    """`scores/larp_tpc.parquet` as the page writes it."""
    folder, _, file = name.rpartition("/")
    if folder not in ("embeddings", "scores", "rankings"):
        return name
    return f"{folder}/<encoder>{'_playlists' if file.endswith('_playlists.parquet') else ''}.parquet"
