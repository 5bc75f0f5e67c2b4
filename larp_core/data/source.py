"""Where a dataset's raw files are: resolved, checked and listed before anything is read."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

from larp_core.config.settings import SOURCE_VARIABLES
from larp_core.data.readers import lfm2b, mpd, own
from larp_core.data.readers.archive import RawFile, ZipMember
from larp_core.graph.job import Job, Report
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import write_json

NUM_EXAMPLES = 20

READERS: dict[str, types.ModuleType] = {"mpd": mpd, "lfm": lfm2b, "own": own}
"""Each reader has `LICENCE`, `CITATION`, `EXPECTED_FILES`, `find_files(source)`, which raises UserError
where there are none, and `read_chunks(source, store, rejects, recipe)`, which yields `Chunk`s. Those that the demo
world stands in for have `DEMO_FOLDER` too, the name of their folder in it."""

READ_FROM_A_ZIP = (mpd,)


def raw_folder(job: Job) -> Path:
    """The folder, or the zip, that the dataset is read from: the user's, or the demo world's."""
    folder = job.settings.source_dir(job.dataset)
    return folder if folder else job.settings.shared.demo_world / READERS[job.dataset].DEMO_FOLDER


def check_source(job: Job) -> Report:
    """Lists the raw files and writes the manifest `source.json`: kind, folder, licence, and every file with its size.

    Of several files some may be unreadable: the manifest says why, and the reader goes by what it needs.

    Raises:
        UserError: the folder is not there, is empty, holds no file of the right kind, or none that can be read.
    """
    reader = READERS[job.dataset]
    kind = "demo" if job.settings.is_demo else "real"
    where = "LARP_DATA (the demo world)" if kind == "demo" else SOURCE_VARIABLES[job.dataset]
    folder = raw_folder(job)
    files = [_described(raw) for raw in _expected_files(reader, folder, where)]
    if all(file["problem"] for file in files):
        raise UserError(
            f"{where}: cannot read {folder / files[0]['name']}: {files[0]['problem']}; "
            "replace the file or allow reading it"
        )
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
    unreadable = [file for file in files if file["problem"]]
    tables = {"files": files[:NUM_EXAMPLES], "files that can't be read": unreadable[:NUM_EXAMPLES]}
    return Report(num_rows=len(files), facts=facts, tables={title: rows for title, rows in tables.items() if rows})


def _expected_files(reader: types.ModuleType, folder: Path, where: str) -> list[RawFile]:
    if not folder.exists():
        raise UserError(f"{where}: the folder {folder} is not there; set it to the folder with {reader.EXPECTED_FILES}")
    if reader in READ_FROM_A_ZIP and folder.suffix == ".zip" and folder.is_file():
        return _found(reader, folder, where)
    if not folder.is_dir():
        raise UserError(f"{where}: {folder} is a file; set it to the folder with {reader.EXPECTED_FILES}")
    try:
        empty = not any(folder.iterdir())
    except OSError as error:
        raise UserError(f"{where}: cannot list {folder}: {error.strerror}; allow reading it") from None
    if empty:
        raise UserError(f"{where}: the folder {folder} is empty; put {reader.EXPECTED_FILES} there")
    return _found(reader, folder, where)


def _found(reader: types.ModuleType, source: Path, where: str) -> list[RawFile]:
    try:
        return list(reader.find_files(source))
    except UserError as error:
        children = sorted(source.iterdir()) if source.is_dir() else []
        inside = [child for child in children if child.is_dir() and _holds_files(reader, child)]
        hint = f"; set it to {inside[0]}, which does" if inside else ""
        raise UserError(f"{where}: {error}{hint}") from None


def _holds_files(reader: types.ModuleType, folder: Path) -> bool:
    try:
        return bool(reader.find_files(folder))
    except (UserError, OSError):
        return False


def _described(raw: RawFile) -> dict[str, Any]:
    """Name, size in bytes, and the problem in reading it, if there is one.

    A byte of a file is really read: permissions, dangling links and folders in disguise show up here.
    """
    if isinstance(raw, ZipMember):
        return {"name": raw.name, "num_bytes": raw.num_bytes, "problem": ""}
    try:
        with raw.open("rb") as handle:
            handle.read(1)
        return {"name": raw.name, "num_bytes": raw.stat().st_size, "problem": ""}
    except OSError as error:
        return {"name": raw.name, "num_bytes": 0, "problem": error.strerror or str(error)}
