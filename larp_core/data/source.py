"""Where a dataset's raw files are: resolved, checked and listed before anything is read."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

from larp_core.data import lfm2b, mpd
from larp_core.errors import UserError
from larp_core.files import write_json
from larp_core.settings import SOURCE_VARIABLES
from larp_core.steps import Job, Report

READERS: dict[str, types.ModuleType] = {"mpd": mpd, "lfm": lfm2b}
"""Each reader has `DEMO_FOLDER`, `LICENCE`, `CITATION`, `EXPECTED_FILES`, `find_files` and `read_chunks`."""


def raw_folder(job: Job) -> Path:
    """The folder that the dataset is read from: the user's, or the demo world's."""
    folder = job.settings.source_dir(job.dataset)
    return folder if folder else job.settings.shared.demo_world / READERS[job.dataset].DEMO_FOLDER


def check_source(job: Job) -> Report:
    """Lists the raw files and writes the manifest `source.json`: kind, folder, licence, and every file with its size.

    Raises:
        UserError: the folder is not there, is a file, is empty, holds no file of the right kind, or one can't be read.
    """
    reader = READERS[job.dataset]
    kind = "demo" if job.settings.is_demo else "real"
    where = "LARP_DATA (the demo world)" if kind == "demo" else SOURCE_VARIABLES[job.dataset]
    folder = raw_folder(job)
    files: list[dict[str, Any]] = [
        {"name": path.name, "num_bytes": _readable_size(path, where)} for path in _expected_files(reader, folder, where)
    ]
    manifest = {
        "dataset": job.dataset,
        "kind": kind,
        "folder": str(folder),
        "licence": "made by this pipeline" if kind == "demo" else reader.LICENCE,
        "citation": "" if kind == "demo" else reader.CITATION,
        "files": files,
    }
    write_json(manifest, job.paths.source)
    facts = {key: value for key, value in manifest.items() if key != "files"}
    facts["num_bytes"] = sum(file["num_bytes"] for file in files)
    return Report(num_rows=len(files), facts=facts, tables={"files": files[:20]})


def _expected_files(reader: types.ModuleType, folder: Path, where: str) -> list[Path]:
    if not folder.exists():
        raise UserError(f"{where}: the folder {folder} is not there; set it to the folder with {reader.EXPECTED_FILES}")
    if not folder.is_dir():
        raise UserError(f"{where}: {folder} is a file; set it to the folder with {reader.EXPECTED_FILES}")
    try:
        empty = not any(folder.iterdir())
    except OSError as error:
        raise UserError(f"{where}: cannot list {folder}: {error.strerror}; allow reading it") from None
    if empty:
        raise UserError(f"{where}: the folder {folder} is empty; put {reader.EXPECTED_FILES} there")
    try:
        return list(reader.find_files(folder))
    except UserError as error:
        inside = [child for child in sorted(folder.iterdir()) if child.is_dir() and _holds_files(reader, child)]
        hint = f"; set it to {inside[0]}, which does" if inside else ""
        raise UserError(f"{where}: {error}{hint}") from None


def _holds_files(reader: types.ModuleType, folder: Path) -> bool:
    try:
        return bool(reader.find_files(folder))
    except (UserError, OSError):
        return False


def _readable_size(path: Path, where: str) -> int:
    """Size in bytes, after a byte was really read: permissions, dangling links and folders in disguise show up here."""
    try:
        with path.open("rb") as handle:
            handle.read(1)
        return path.stat().st_size
    except OSError as error:
        raise UserError(
            f"{where}: cannot read {path}: {error.strerror}; replace the file or allow reading it"
        ) from None
