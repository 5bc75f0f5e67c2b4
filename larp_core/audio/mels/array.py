"""The array of the clips' log-mel spectrograms, as CLAP's HTS-AT takes them.

`mels.npy` is a float16 array [num_clips, 1001, 64] in dB, ordered by track id and, within a track, by the clip's index;
`mels.parquet` tells each clip's `row`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from larp_core.audio.acquire.ledger import OK
from larp_core.audio.decode import read_clip
from larp_core.audio.mels.log_mel import NUM_FRAMES, NUM_MELS, NUM_SAMPLES, log_mel
from larp_core.audio.mels.store import MelStore
from larp_core.audio.pictures import save_spectrograms
from larp_core.config.paths import DatasetPaths
from larp_core.runtime.ahead import made_ahead
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import atomic_path, write_parquet
from larp_core.runtime.freed_memory import keep_freed_memory
from larp_core.runtime.progress import Progress
from larp_core.runtime.report import Report
from larp_core.runtime.workers import num_cores

BATCH_SIZE = 8
AHEAD = 8
"""Batches a thread that are asked for before they are needed: work for the time that rows take to reach the disk."""

NUM_PICTURED = 6


def build_mels(paths: DatasetPaths) -> Report:
    """Computes the log-mels of all `ok` clips; see `MelStore` for those that are not computed again.

    No clip at all is a valid outcome: an array of no rows.

    Raises:
        UserError: a clip's file that is needed is gone or was changed, or the disk has no room.
    """
    clips = pl.read_parquet(paths.clips).filter(pl.col("status") == OK).sort("track_id", "clip_index")
    num_computed = 0
    if clips.is_empty():
        with atomic_path(paths.mels) as partial:
            np.save(partial, np.empty((0, NUM_FRAMES, NUM_MELS), np.float16))  # can't be mapped into memory
    else:
        keep_freed_memory()
        with threadpool_limits(1):  # several batches at a time, each on one thread, beat one batch on several
            num_computed = _fill(MelStore(paths, clips["sha256"].to_list(), (NUM_FRAMES, NUM_MELS)), clips, paths)
    rows = clips.select("track_id", "clip_index", row=pl.int_range(pl.len(), dtype=pl.Int32))
    write_parquet(rows, paths.mel_rows)
    return Report(
        num_rows=len(rows),
        facts={
            "shape": str([len(rows), NUM_FRAMES, NUM_MELS]),
            "num_computed_now": num_computed,
            "megabytes": round(paths.mels.stat().st_size / 1e6, 1),
        },
        pictures=_pictures(rows, paths),
    )


def load_mels(paths: DatasetPaths) -> np.ndarray:
    """`mels.npy` [num_clips, 1001, 64], mapped into memory read-only, unless it is empty."""
    try:
        return np.load(paths.mels, mmap_mode="r")
    except ValueError:
        return np.load(paths.mels)


def _fill(store: MelStore, clips: pl.DataFrame, paths: DatasetPaths) -> int:
    """Computes the rows that the store has not got, and finishes it; how many they were."""
    todo = np.flatnonzero(~store.done)
    batches = _batches(paths.root, clips["path"], todo)
    with Progress(len(clips), "clip", f"{paths.dataset}/mels") as progress, contextlib.closing(batches):
        progress.found(len(clips) - len(todo))
        for rows, batch in batches:
            store.write(rows, batch)
            progress.add(len(rows))
    store.finish()
    return len(todo)


def _batches(root: Path, names: pl.Series, todo: np.ndarray) -> Generator[tuple[np.ndarray, np.ndarray], None, None]:
    """`(rows [B], their mels [B, 1001, 64])` in order, a few batches being worked on at a time."""

    def mels_of(rows: np.ndarray) -> np.ndarray:
        mels = np.empty((len(rows), NUM_FRAMES, NUM_MELS), np.float16)
        for row, mel in zip(rows.tolist(), mels, strict=True):  # a batch's samples together would be 15 MB
            mel[:] = log_mel(_read_checked(root / names[row])[np.newaxis])[0]
        return mels

    num_threads = num_cores()
    batches = (todo[first : first + BATCH_SIZE] for first in range(0, len(todo), BATCH_SIZE))
    return made_ahead(batches, mels_of, AHEAD * num_threads, num_threads)


def _read_checked(file: Path) -> np.ndarray:
    samples = read_clip(file) if file.exists() else np.empty(0)
    if samples.shape != (NUM_SAMPLES,):
        raise UserError(
            f"{file}: not a clip of {NUM_SAMPLES} samples; delete the clips.parquet of its dataset and run clips again"
        )
    return samples


def _pictures(rows: pl.DataFrame, paths: DatasetPaths) -> dict[str, str]:
    if rows.is_empty():
        return {}
    mels = load_mels(paths)
    uri_of = dict(pl.read_parquet(paths.tracks, columns=["track_id", "track_uri"]).iter_rows())
    shown = rows.unique("track_id", keep="first", maintain_order=True)
    shown = shown.gather_every(max(1, len(shown) // NUM_PICTURED)).head(NUM_PICTURED)
    panels = {
        uri_of[row["track_id"]]: np.asarray(mels[row["row"]], np.float32).T for row in shown.iter_rows(named=True)
    }
    picture = save_spectrograms(
        panels, paths.pictures / "mels.png", "mel bin, 50 to 14,000 Hz", (0.0, 10.0, 0.0, NUM_MELS)
    )
    return {"log-mel spectrograms": str(picture)}
