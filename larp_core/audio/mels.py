"""Log-mel spectrograms of the clips, as CLAP's HTS-AT takes them. This module needs torch: it runs in its own process.

`mels.npy` is a float16 array [num_clips, 1001, 64] in dB, ordered by track id and, within a track, by the clip's index;
`mels.parquet` tells each clip's `row`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
import torch
import torchaudio
from tqdm import tqdm

from larp_core.audio.decode import read_clip
from larp_core.audio.ledger import OK
from larp_core.audio.mel_store import MelStore
from larp_core.audio.pictures import save_spectrograms
from larp_core.audio.workers import num_cores
from larp_core.errors import UserError
from larp_core.files import atomic_path, write_parquet
from larp_core.paths import DatasetPaths
from larp_core.steps import Job, Report

SAMPLE_RATE_HZ = 48_000
NUM_SAMPLES = 480_000
NUM_FRAMES = 1_001
NUM_MELS = 64
FREQUENCY_RANGE_HZ = (50.0, 14_000.0)
POWER_FLOOR = 1e-10

BATCH_SIZE = 8
NUM_PICTURED = 6


@cache
def _mel_power() -> torchaudio.transforms.MelSpectrogram:
    return torchaudio.transforms.MelSpectrogram(
        SAMPLE_RATE_HZ,
        n_fft=1_024,
        hop_length=480,
        n_mels=NUM_MELS,
        f_min=FREQUENCY_RANGE_HZ[0],
        f_max=FREQUENCY_RANGE_HZ[1],
        norm="slaney",
        mel_scale="slaney",
    )


def mel_filters() -> torch.Tensor:
    """The filter bank, float32 [513, 64]: what a checkpoint's own can be compared with."""
    return _mel_power().mel_scale.fb


@torch.inference_mode()
def log_mel(waveform: torch.Tensor) -> torch.Tensor:
    """Log-mel power in dB, float32 [B, 1001, 64], of 48 kHz mono clips [B, 480000].

    The same numbers as `transformers.ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc")`, faster:
    within 1e-3 dB down to 50 dB below a frame's loudest band, where float32 rounding begins to tell in both.

    Raises:
        ValueError: another number of samples, which would mean another rate or length.
    """
    if waveform.shape[-1] != NUM_SAMPLES:
        raise ValueError(f"a clip has {NUM_SAMPLES} samples at {SAMPLE_RATE_HZ} Hz, not {waveform.shape[-1]}")
    power = _mel_power()(waveform).clamp(min=POWER_FLOOR)
    return (10 * power.log10()).transpose(-1, -2)


def build_mels(job: Job) -> Report:
    """Computes the log-mels of all `ok` clips; see `MelStore` for those that are not computed again.

    No clip at all is a valid outcome: an array of no rows.

    Raises:
        UserError: a clip's file that is needed is gone or was changed, or the disk has no room.
    """
    paths = job.paths
    clips = pl.read_parquet(paths.clips).filter(pl.col("status") == OK).sort("track_id", "clip_index")
    torch.set_num_threads(1)  # several batches at a time, each on one thread, beat one batch on several
    num_computed = 0
    if clips.is_empty():
        with atomic_path(paths.mels) as partial:
            np.save(partial, np.empty((0, NUM_FRAMES, NUM_MELS), np.float16))  # can't be mapped into memory
    else:
        num_computed = _fill(MelStore(paths, clips["sha256"].to_list(), (NUM_FRAMES, NUM_MELS)), clips, job)
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


def _fill(store: MelStore, clips: pl.DataFrame, job: Job) -> int:
    """Computes the rows that the store has not got, and finishes it; how many they were."""
    todo = np.flatnonzero(~store.done)
    files = [job.paths.root / name for name in clips["path"]]
    progress = tqdm(desc=f"{job.dataset}/mels", total=len(files), initial=len(files) - len(todo), unit="clip")
    with progress:
        for rows, batch in _batches(files, todo):
            store.write(rows, batch)
            progress.update(len(rows))
    store.finish()
    return len(todo)


def _batches(files: list[Path], todo: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`(rows [B], their mels [B, 1001, 64])` in order, a few batches being worked on at a time."""
    num_threads = num_cores()
    with ThreadPoolExecutor(num_threads) as pool:
        waiting = (todo[first : first + BATCH_SIZE] for first in range(0, len(todo), BATCH_SIZE))
        in_work = deque((rows, pool.submit(_mels_of, files, rows)) for rows in islice(waiting, 2 * num_threads))
        while in_work:
            rows, batch = in_work.popleft()
            yield rows, batch.result()
            in_work += ((following, pool.submit(_mels_of, files, following)) for following in islice(waiting, 1))


def _mels_of(files: list[Path], rows: np.ndarray) -> np.ndarray:
    waveforms = np.stack([_read_checked(files[row]) for row in rows])
    return log_mel(torch.from_numpy(waveforms)).to(torch.float16).numpy()


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
