"""Writing and fingerprinting files: a reader sees the old file or the new one, never half of it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from larp_core.runtime.errors import UserError

if TYPE_CHECKING:  # not at run time: the DAG's process, which imports this module, stays light and free of threads
    import polars as pl

HASH_CHUNK_BYTES = 1 << 20


@contextlib.contextmanager
def atomic_path(path: Path, *, flush: bool = True) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it is flushed to disk and renamed to `path`.

    Without `flush` a power cut may leave an empty file under the final name: for those that write many small files and
    flush them together, before they are recorded anywhere.

    The temporary name keeps the suffix, since encoders choose the format by it. On an error nothing is left behind.

    Raises:
        UserError: the folder can't be written, or its disk is full.
    """
    make_folder(path.parent)
    partial = path.with_name(f".{path.stem}.{os.getpid()}-{uuid.uuid4().hex[:8]}.partial{path.suffix}")
    try:
        yield partial
        if flush:
            flush_file(partial)
        partial.replace(path)
    except Exception as error:
        if not _is_full_disk(error):
            raise
        raise UserError(f"{path.parent}: the disk is full; free some space or set LARP_DATA to another disk") from None
    finally:
        partial.unlink(missing_ok=True)


def flush_file(path: Path) -> None:
    """Has what was written to a file reach the disk."""
    with path.open("rb") as handle:
        os.fsync(handle.fileno())


def _is_full_disk(error: Exception) -> bool:
    # polars wraps the system's error in one of its own
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(error)


def make_folder(folder: Path) -> Path:
    """Creates `folder` and its parents. Raises UserError where it can't be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write to {folder}: {error.strerror}; set LARP_DATA to a folder you may write to"
        ) from None
    if not os.access(folder, os.W_OK):
        raise UserError(f"cannot write to {folder}: permission denied; set LARP_DATA to a folder you may write to")
    return folder


def write_parquet(frame: pl.DataFrame, path: Path, metadata: dict[str, str] | None = None) -> Path:
    """Writes a frame atomically, with `metadata` in the Parquet footer."""
    with atomic_path(path) as partial:
        frame.write_parquet(partial, metadata=metadata)
    return path


def write_json(value: Any, path: Path) -> Path:
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(value, indent=2, sort_keys=True, default=str) + "\n", encoding="utf-8")
    return path


def write_text(text: str, path: Path) -> Path:
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def hash_of(value: Any) -> str:
    """sha256 of the canonical JSON of a plain value: settings, manifests, lists of digests."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def hash_file(path: Path) -> str:
    """sha256 of a file's bytes, or of the names and digests within a folder."""
    if path.is_dir():
        return hash_of({str(p.relative_to(path)): hash_file(p) for p in sorted(path.rglob("*")) if p.is_file()})
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def stat_signature(path: Path) -> list[Any]:
    """What tells cheaply that a file is the one seen before: sizes and modification times, of a folder's files too."""
    if path.is_dir():
        return [[str(p.relative_to(path)), *stat_signature(p)] for p in sorted(path.rglob("*")) if p.is_file()]
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
