"""Where a dataset's raw files are: resolved, checked and listed before anything is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from larp_core.config.datasets import DATASETS, DatasetSpec
from larp_core.config.paths import DatasetPaths
from larp_core.data.readers.archive import RawFile, ZipMember
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import write_json
from larp_core.runtime.report import Report

NUM_EXAMPLES = 20


def check_source(folder: Path, paths: DatasetPaths, is_demo: bool) -> Report:
    """Lists the raw files and writes the manifest `source.json`: kind, folder, licence, and every file with its size.

    Of several files some may be unreadable: the manifest says why, and the reader goes by what it needs.

    Args:
        folder: what the dataset is read from: a folder, or a zip where it may be one.
        is_demo: whether that is the demo world's.

    Raises:
        UserError: the folder is not there, is empty, holds no file of the right kind, or none that can be read.
    """
    spec = DATASETS[paths.dataset]
    where = "LARP_DATA (the demo world)" if is_demo else spec.variable
    files = [_described(raw) for raw in _expected_files(spec, folder, where)]
    if all(file["problem"] for file in files):
        raise UserError(
            f"{where}: cannot read {folder / files[0]['name']}: {files[0]['problem']}; "
            "replace the file or allow reading it"
        )
    manifest = {
        "dataset": spec.name,
        "kind": "demo" if is_demo else "real",
        "folder": str(folder),
        "licence": "made by this pipeline" if is_demo else spec.licence,
        "citation": "" if is_demo else spec.citation,
        "files": files,
    }
    write_json(manifest, paths.source)
    facts = {key: value for key, value in manifest.items() if key != "files"}
    facts["num_bytes"] = sum(file["num_bytes"] for file in files)
    unreadable = [file for file in files if file["problem"]]
    tables = {"files": files[:NUM_EXAMPLES], "files that can't be read": unreadable[:NUM_EXAMPLES]}
    return Report(num_rows=len(files), facts=facts, tables={title: rows for title, rows in tables.items() if rows})


def _expected_files(spec: DatasetSpec, folder: Path, where: str) -> list[RawFile]:
    if not folder.exists():
        raise UserError(f"{where}: the folder {folder} is not there; set it to the folder with {spec.expected_files}")
    if spec.may_be_zip and folder.suffix == ".zip" and folder.is_file():
        return _found(spec, folder, where)
    if not folder.is_dir():
        raise UserError(f"{where}: {folder} is a file; set it to the folder with {spec.expected_files}")
    try:
        empty = not any(folder.iterdir())
    except OSError as error:
        raise UserError(f"{where}: cannot list {folder}: {error.strerror}; allow reading it") from None
    if empty:
        raise UserError(f"{where}: the folder {folder} is empty; put {spec.expected_files} there")
    return _found(spec, folder, where)


def _found(spec: DatasetSpec, source: Path, where: str) -> list[RawFile]:
    try:
        return list(spec.reader_module.find_files(source))
    except UserError as error:
        children = sorted(source.iterdir()) if source.is_dir() else []
        inside = [child for child in children if child.is_dir() and _holds_files(spec, child)]
        hint = f"; set it to {inside[0]}, which does" if inside else ""
        raise UserError(f"{where}: {error}{hint}") from None


def _holds_files(spec: DatasetSpec, folder: Path) -> bool:
    try:
        return bool(spec.reader_module.find_files(folder))
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
