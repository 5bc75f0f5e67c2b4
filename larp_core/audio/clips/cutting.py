"""Cutting one clip out of one file: the work of a worker process, which loads nothing that it doesn't need."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr

from larp_core.audio.decode import CorruptAudio, Measured, read_window
from larp_core.config import ClipConfig
from larp_core.runtime.files import atomic_path

CUTTER_VERSION = 2
"""Raised when the same source and start would give other samples, so that no old clip is kept."""

SILENCE_DBFS = -60.0
FULL_SCALE = 0.999
CLIPPED_SHARE = 0.001


@dataclass(frozen=True, slots=True)
class Clip:
    """One row of `clips.parquet`."""

    track_id: int
    status: str
    clip_index: int = 0
    start_seconds: float | None = None
    path: str | None = None
    sha256: str | None = None
    detail: str = ""
    source_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """A clip to be cut: the row it will be, from where, to where."""

    clip: Clip
    source: Path
    measured: Measured
    target: Path


def make_cutter(config: ClipConfig) -> Callable[[Cut], Clip]:
    """The work of one process; see `map_in_processes`."""
    return lambda cut: cut_clip(cut, config)


def cut_clip(cut: Cut, config: ClipConfig) -> Clip:
    """Writes the clip's file and completes its row; a source that can't be cut is a row with the reason.

    The file is under its name, but it may not have reached the disk: see `ClipShards.write`.
    """
    assert cut.clip.start_seconds is not None
    if not cut.source.exists():
        return without_file(cut.clip, "error", f"{cut.source.name} is gone; materialize mp3 again, then clips")
    try:
        samples, rate_hz = read_window(cut.source, cut.clip.start_seconds, config.clip_seconds, cut.measured)
    except CorruptAudio as error:
        return without_file(cut.clip, "corrupt", str(error))
    except OSError as error:
        return without_file(cut.clip, "error", f"cannot read {cut.source.name}: {error.strerror}")
    if not np.isfinite(samples).all():
        return without_file(cut.clip, "corrupt", "samples that are no numbers")
    resampled = resample(samples, rate_hz, config)
    flac = encode_flac(resampled, config.sample_rate_hz)
    with atomic_path(cut.target, flush=False) as partial:
        partial.write_bytes(flac)
    return replace(cut.clip, sha256=hashlib.sha256(flac).hexdigest(), detail=warning_of(resampled))


def resample(samples: np.ndarray, rate_hz: int, config: ClipConfig) -> np.ndarray:
    """Mono float32 [clip_seconds * sample_rate_hz], whatever rate it comes from (soxr, high quality)."""
    num_samples = round(config.clip_seconds * config.sample_rate_hz)
    resampled = soxr.resample(samples, rate_hz, config.sample_rate_hz, quality="HQ")[:num_samples]
    return np.pad(resampled, (0, num_samples - len(resampled)))


def encode_flac(samples: np.ndarray, rate_hz: int) -> bytes:
    """16-bit FLAC of mono float32 samples: the bytes that libsndfile would write of the floats, a little sooner."""
    scaled = samples * np.float32(1 << 15)
    np.rint(scaled, out=scaled)
    np.clip(scaled, -(1 << 15), (1 << 15) - 1, out=scaled)
    encoded = io.BytesIO()
    soundfile.write(encoded, scaled.astype(np.int16), rate_hz, subtype="PCM_16", format="FLAC")
    return encoded.getvalue()


def warning_of(samples: np.ndarray) -> str:
    """`silent`, or the share of samples at full scale where it is large; empty for an ordinary clip."""
    if 10 * np.log10(float(np.dot(samples, samples)) / len(samples) + 1e-20) < SILENCE_DBFS:
        return "silent"
    if max(samples.max(), -samples.min()) < FULL_SCALE:
        return ""
    clipped = float(np.mean(np.abs(samples) >= FULL_SCALE))
    return f"clipped: {clipped:.1%} of samples at full scale" if clipped > CLIPPED_SHARE else ""


def without_file(clip: Clip, status: str, detail: str) -> Clip:
    return replace(clip, status=status, path=None, detail=detail)
