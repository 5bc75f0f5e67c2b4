"""What has been read of each raw file, kept as Parquet, so that the next run reads only new or changed files."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from larp_core.data.readers.archive import RawFile, ZipMember
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import atomic_path, hash_file, hash_of, read_json, stat_signature, write_json

MANIFEST = "part.json"
Raw = TypeVar("Raw", bound=RawFile)
Result = TypeVar("Result")


class UnreadableError(UserError):
    """A raw file that can't be read at all; `detail` is the system's word on it."""

    detail: str = ""


@dataclass(frozen=True)
class Part:
    """The frames read from one raw file, on disk at `folder/<name>.parquet`.

    Attributes:
        num_rows, num_kept: rows that the raw file holds, and those of them in the frames. The rest are rejects.
        is_new: False where an earlier run read the file.
    """

    folder: Path
    num_rows: int
    num_kept: int
    is_new: bool

    def scan(self, name: str) -> pl.LazyFrame:
        return pl.scan_parquet(self.folder / f"{name}.parquet")

    def read(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(self.folder / f"{name}.parquet")


@dataclass(frozen=True)
class Reading:
    """What a reader makes of one raw file; see `Part`."""

    frames: Mapping[str, pl.DataFrame]
    num_rows: int
    num_kept: int


@dataclass(frozen=True)
class PartStore:
    """Parts by raw file, below `folder`; `settings` is all else that they depend on, the reader's version included."""

    folder: Path
    settings: str

    def get(self, raw: Raw, read: Callable[[Raw], Reading]) -> Part:
        """The part of `raw`: that of an earlier run where name, size and content are the same, else read now.

        Several processes may do this for different files at once. Raises UnreadableError where `raw` can't be read.
        """
        if (known := self.find(raw)) is not None:
            return known
        folder = self.folder / raw.name
        # Before the reading: a file that changes meanwhile is not taken for read.
        signature, digest = _readable(_signature, raw), _readable(_digest, raw)
        reading = _readable(read, raw)
        shutil.rmtree(folder, ignore_errors=True)
        for name, frame in reading.frames.items():
            with atomic_path(folder / f"{name}.parquet") as partial:
                frame.write_parquet(partial, compression="lz4")  # half the time of zstd
        counts = {"num_rows": reading.num_rows, "num_kept": reading.num_kept}
        manifest = {"signature": signature, "digest": digest, "settings": self.settings, "frames": _sizes(folder)}
        # Last: a part whose reading was killed has no manifest and is read again.
        write_json(manifest | counts, folder / MANIFEST)
        return Part(folder, reading.num_rows, reading.num_kept, is_new=True)

    def find(self, raw: RawFile) -> Part | None:
        """The part of `raw` that an earlier run left, or None where there is none or the file has changed.

        An unchanged modification time stands for unchanged content, else the sha256 does. Raises UnreadableError.
        """
        folder = self.folder / raw.name
        known = _manifest(folder)
        if known is None or known["settings"] != self.settings or known["frames"] != _sizes(folder):
            return None
        signature = _readable(_signature, raw)
        if known["signature"] != signature:
            if known["signature"][0] != signature[0] or known["digest"] != _readable(_digest, raw):
                return None
            write_json(known | {"signature": signature}, folder / MANIFEST)
        return Part(folder, known["num_rows"], known["num_kept"], is_new=False)

    def forget_others(self, raw_files: Sequence[RawFile]) -> list[str]:
        """Deletes the parts of files that are there no more; returns their names."""
        names = {raw.name for raw in raw_files}
        gone = [folder for folder in sorted(self.folder.glob("*")) if folder.name not in names]
        for folder in gone:
            shutil.rmtree(folder)
        return [folder.name for folder in gone]

    def digests(self) -> dict[str, str]:
        """By raw file's name, what its part was made from: it changes when the file is read anew for a reason."""
        manifests = {folder.name: _manifest(folder) for folder in sorted(self.folder.glob("*"))}
        return {
            name: hash_of([known["digest"], known["settings"], known["frames"]])
            for name, known in manifests.items()
            if known is not None
        }


def _manifest(folder: Path) -> dict[str, Any] | None:
    path = folder / MANIFEST
    return read_json(path) if path.exists() else None


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of every frame: a part that someone has damaged is read again."""
    return {path.name: path.stat().st_size for path in sorted(folder.glob("*.parquet"))}


def _readable(step: Callable[[Raw], Result], raw: Raw) -> Result:
    try:
        return step(raw)
    except OSError as error:
        detail = error.strerror or str(error)
        refusal = UnreadableError(f"{raw}: cannot be read ({detail}); replace the file or allow reading it")
        refusal.detail = detail
        raise refusal from None


def _signature(raw: RawFile) -> list[Any]:
    """Size first."""
    return [raw.num_bytes, raw.crc] if isinstance(raw, ZipMember) else stat_signature(raw)


def _digest(raw: RawFile) -> str:
    return f"crc32 {raw.crc:08x}" if isinstance(raw, ZipMember) else hash_file(raw)
