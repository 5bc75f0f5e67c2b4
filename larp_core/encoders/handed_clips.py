"""Clips handed to an encoder of another environment: FLAC files at the rate that it needs, and the list of them.

Resampling happens here and nowhere else, from the pipeline's 48 kHz; a clip of another rate is refused, not bent.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import soundfile
import soxr

from larp_core.audio.acquire.ledger import OK
from larp_core.audio.clips.report import first_good
from larp_core.config.encoders import OUR_RATE_HZ
from larp_core.config.paths import DatasetPaths
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import make_folder


@dataclass(frozen=True)
class HandedClip:
    """One track's clip of ours: 48 kHz, mono."""

    track_id: int
    track_uri: str
    path: Path


def clips_of(paths: DatasetPaths, track_ids: np.ndarray) -> list[HandedClip]:
    """The clips of those of `track_ids` that have one, by ascending id; of a track with several its first."""
    names = pl.read_parquet(paths.tracks, columns=["track_id", "track_uri"])
    rows = first_good(pl.read_parquet(paths.clips))
    rows = rows.filter((pl.col("status") == OK) & pl.col("track_id").is_in(track_ids.tolist()))
    rows = rows.join(names, on="track_id").sort("track_id").select("track_id", "track_uri", "path")
    return [HandedClip(track_id, uri, paths.root / path) for track_id, uri, path in rows.iter_rows()]


def read_at_rate(path: Path, rate_hz: int) -> np.ndarray:
    """A clip's samples, float32 mono, brought from 48 kHz to `rate_hz` by soxr at its highest quality.

    Raises:
        UserError: the file is gone, or not at 48 kHz and mono: it isn't one of the pipeline's clips.
    """
    remedy = "delete the clips.parquet of its dataset and run clips again"
    try:
        samples, found_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise UserError(f"{path}: can't be read ({error}): {remedy}") from None
    if found_hz != OUR_RATE_HZ or samples.shape[1] != 1:
        raise UserError(f"{path}: {found_hz} Hz, {samples.shape[1]} channels, not {OUR_RATE_HZ} Hz and mono: {remedy}")
    mono = samples[:, 0]
    return mono if rate_hz == OUR_RATE_HZ else soxr.resample(mono, OUR_RATE_HZ, rate_hz, quality="VHQ")


def hand_out(clips: list[HandedClip], rate_hz: int, folder: Path) -> Path:
    """Writes the clips at `rate_hz` below `folder` and the CSV that lists them; the CSV's path.

    Columns: `track_uri`, `path` (absolute), `sample_rate_hz`, `num_samples`.
    """
    rows = []
    for clip in clips:
        samples = read_at_rate(clip.path, rate_hz)
        path = make_folder(folder / "clips") / f"{clip.track_id}.flac"
        soundfile.write(path, np.clip(samples, -1.0, 1.0), rate_hz)
        rows.append((clip.track_uri, str(path.resolve()), rate_hz, len(samples)))
    listed = folder / "clips.csv"
    pl.DataFrame(rows, schema=["track_uri", "path", "sample_rate_hz", "num_samples"], orient="row").write_csv(listed)
    return listed
