"""The array of log-mels on disk: built row by row beside the old one, which it takes rows from, and renamed when whole.

Nothing is computed twice. Rows whose clip is the same as before are copied from the last array; an array under way
keeps a list of its finished rows, from which a killed run's successor goes on. Neither is part of the result:
`mels.npy` comes out the same without them.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import polars as pl

from larp_core.config.paths import DatasetPaths
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import hash_of, make_folder, stat_signature, write_parquet

MEL_VERSION = 2
"""Raised when the same clip would give another log-mel, so that no old row is kept."""

SAVE_EVERY_ROWS = 512
ARRAY_KEY = "array"


class MelStore:
    """`mels.npy` [num_clips, ...] float16 in the making.

    Args:
        clip_digests: sha256 of each row's clip.
        row_shape: shape of a row.
    """

    def __init__(self, paths: DatasetPaths, clip_digests: list[str], row_shape: tuple[int, ...]) -> None:
        self.paths = paths
        self._digests = clip_digests
        shape = (len(clip_digests), *row_shape)
        name = hash_of([MEL_VERSION, shape, clip_digests])[:16]
        self._partial = paths.mels_in_work / f"{name}.npy"
        self._journal = paths.mels_in_work / f"{name}.rows"
        make_folder(paths.mels_in_work)
        for path in paths.mels_in_work.iterdir():
            if path not in (self._partial, self._journal):
                path.unlink()  # of a run that was killed, for other clips than there are now
        self.done = np.zeros(len(clip_digests), bool)
        self._saved = self.done.copy()
        if self._partial.exists() and self._journal.exists():
            self._mels = np.lib.format.open_memmap(self._partial, mode="r+")
            for first, last in self._finished_ranges():
                self.done[first:last] = True
            self._saved = self.done.copy()
        else:
            self._journal.unlink(missing_ok=True)
            self._mels = np.lib.format.open_memmap(self._partial, mode="w+", dtype=np.float16, shape=shape)
            self._reserve_disk()
            self._copy_old_rows()

    def write(self, rows: np.ndarray, mels: np.ndarray) -> None:
        """Puts `mels` [B, ...] into `rows` [B]."""
        self._mels[rows] = mels
        self.done[rows] = True
        if (self.done & ~self._saved).sum() >= SAVE_EVERY_ROWS:
            self._save()

    def finish(self) -> None:
        """Makes the array `mels.npy`, and remembers which clip each row is of."""
        assert self.done.all()
        self._mels.flush()
        del self._mels
        with self._partial.open("rb") as handle:
            os.fsync(handle.fileno())
        self._partial.replace(self.paths.mels)
        self._journal.unlink(missing_ok=True)
        self.paths.mels_in_work.rmdir()
        sources = pl.DataFrame({"sha256": self._digests}, schema={"sha256": pl.String})
        write_parquet(sources, self.paths.mel_sources, metadata={ARRAY_KEY: _array_key(self.paths.mels)})

    def _reserve_disk(self) -> None:
        """Writing to a mapped file on a full disk would kill the process."""
        try:
            with self._partial.open("r+b") as handle:
                os.posix_fallocate(handle.fileno(), 0, self._mels.nbytes)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                return  # a file system that can't reserve
            gigabytes = self._mels.nbytes / 1e9
            self._partial.unlink()
            raise UserError(
                f"{self.paths.root}: the disk has no room for {gigabytes:.1f} GB of log-mels; free some space or set "
                "LARP_DATA to another disk"
            ) from None

    def _copy_old_rows(self) -> None:
        paths = self.paths
        if not paths.mels.exists() or not paths.mel_sources.exists():
            return
        if pl.read_parquet_metadata(paths.mel_sources).get(ARRAY_KEY) != _array_key(paths.mels):
            return
        old_row = {digest: row for row, digest in enumerate(pl.read_parquet(paths.mel_sources)["sha256"])}
        if not old_row:
            return
        old = np.load(paths.mels, mmap_mode="r")
        for row, digest in enumerate(self._digests):
            if digest in old_row:
                self._mels[row] = old[old_row[digest]]
                self.done[row] = True

    def _save(self) -> None:
        """First the rows reach the disk, then the list that says so."""
        self._mels.flush()
        new = np.flatnonzero(self.done & ~self._saved)
        ranges = np.split(new, np.flatnonzero(np.diff(new) > 1) + 1)
        with self._journal.open("a") as journal:
            journal.writelines(f"{rows[0]} {rows[-1] + 1}\n" for rows in ranges)
            journal.flush()
            os.fsync(journal.fileno())
        self._saved = self.done.copy()

    def _finished_ranges(self) -> list[tuple[int, int]]:
        """From the list, less a line that was being written when the run was killed, which is cut off it."""
        text = self._journal.read_text()
        whole = text[: text.rfind("\n") + 1]
        os.truncate(self._journal, len(whole))
        return [(int(first), int(last)) for first, last in (line.split() for line in whole.splitlines())]


def _array_key(array: Path) -> str:
    """Which array the list of sources goes with: a run killed between the two must not mix them up."""
    return hash_of([MEL_VERSION, stat_signature(array)])
