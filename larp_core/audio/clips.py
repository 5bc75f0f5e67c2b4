"""Cutting one clip a track: 10 s at 48 kHz, mono, 16-bit FLAC, exactly 480,000 samples.

`clips.parquet` has the columns of `SCHEMA`, one row for each `ok` row of the ledger: `path` is relative to the
dataset's folder, `status` is one of the ledger's `STATUSES`, and `detail` of an `ok` clip says what to be wary of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import soundfile
import soxr
from tqdm import tqdm

from larp_core.audio.clips_report import report_of
from larp_core.audio.decode import CorruptAudio, Measured, read_window
from larp_core.audio.ledger import OK, Entry, read_entries
from larp_core.audio.names import track_file
from larp_core.audio.offsets import NoClip, start_of_clip
from larp_core.audio.workers import Crashed, map_in_processes
from larp_core.config import ClipConfig
from larp_core.data.paper_lists import load_paper_lists
from larp_core.errors import UserError
from larp_core.files import atomic_path, hash_file, hash_of, write_parquet
from larp_core.paths import DatasetPaths
from larp_core.steps import Job, Report

FORMAT_KEY = "clip_format"
CUTTER_VERSION = 1
"""Raised when the same source and start would give other samples, so that no old clip is kept."""

SILENCE_DBFS = -60.0
FULL_SCALE = 0.999
CLIPPED_SHARE = 0.001

SCHEMA: dict[str, pl.DataType] = {
    "track_id": pl.Int32(),
    "start_seconds": pl.Float64(),
    "path": pl.String(),
    "sha256": pl.String(),
    "status": pl.String(),
    "detail": pl.String(),
    "source_sha256": pl.String(),
}


@dataclass(frozen=True)
class Clip:
    """One row of `clips.parquet`."""

    track_id: int
    status: str
    start_seconds: float | None = None
    path: str | None = None
    sha256: str | None = None
    detail: str = ""
    source_sha256: str | None = None


@dataclass(frozen=True)
class Cut:
    """A clip to be cut: the row it will be, from where, to where."""

    clip: Clip
    source: Path
    measured: Measured
    target: Path


def build_clips(job: Job) -> Report:
    """Cuts the clip of every track whose audio was got, and keeps the clips that would come out the same.

    A track that can't be cut gets a row with its status and reason; the others go on.

    Raises:
        UserError: the recipe's offsets are those of the published lists, and there are none.
    """
    config, paths = job.recipe.clip, job.paths
    entries = read_entries(paths.ledger).values()
    listed = _listed_starts(job)
    kept_format = hash_of([config.clip_seconds, config.sample_rate_hz, CUTTER_VERSION])
    old = _old_clips(paths, kept_format)
    clips: dict[int, Clip] = {}
    cuts = []
    for entry in entries:
        planned = _plan(entry, config, listed.get(entry.track_uri), paths, job.settings.data_dir)
        if isinstance(planned, Clip):
            clips[entry.track_id] = planned
        elif planned and (kept := _kept(old.get(planned.clip.path), planned)):
            clips[entry.track_id] = kept
        elif planned:
            cuts.append(planned)
    done = map_in_processes(make_cutter, (config,), cuts, isolated=True)
    for cut, result in tqdm(done, f"{job.dataset}/clips", len(cuts), unit="clip"):
        died = isinstance(result, Crashed)
        clips[cut.clip.track_id] = _without_file(cut.clip, "corrupt", str(result)) if died else result
    frame = pl.DataFrame([asdict(clips[track_id]) for track_id in sorted(clips)], schema=SCHEMA)
    write_parquet(frame, paths.clips, metadata={FORMAT_KEY: kept_format})
    facts = {"num_cut_now": len(cuts)}
    if config.offsets == "paper_lists":
        facts["num_not_in_paper_lists"] = sum(entry.status == OK and entry.track_uri not in listed for entry in entries)
    return report_of(frame, entries, paths, facts)


def has_clips_to_cut(paths: DatasetPaths) -> bool:
    """Whether another run could cut more, or a clip has gone since the last; False where there are no clips yet."""
    if not paths.clips.exists():
        return False
    rows = pl.read_parquet(paths.clips, columns=["status", "path"]).iter_rows()
    return any(status == "error" or (path is not None and not (paths.root / path).exists()) for status, path in rows)


def _listed_starts(job: Job) -> dict[str, float]:
    """Seconds by track uri from the authors' published lists, where the recipe asks for them."""
    if job.recipe.clip.offsets != "paper_lists":
        return {}
    folder = job.settings.paper_lists_dir
    if folder is None:
        raise UserError(
            f"LARP_PAPER_LISTS_DIR is not set, and the recipe {job.recipe.name} takes clip.offsets from the paper's "
            "lists; set it to their folder"
        )
    return dict(load_paper_lists(folder, job.dataset).select("track_uri", "start_seconds").iter_rows())


def _plan(
    entry: Entry, config: ClipConfig, listed_start: float | None, paths: DatasetPaths, data_dir: Path
) -> Clip | Cut | None:
    """What is to be done for a row of the ledger: a cut, a row that says why there is none, or nothing."""
    if entry.status != OK or entry.path is None or entry.duration_seconds is None or entry.decoder is None:
        return None
    start = start_of_clip(entry.track_uri, entry.duration_seconds, config, listed_start)
    if isinstance(start, NoClip):
        return Clip(entry.track_id, "too_short", detail=start.reason, source_sha256=entry.sha256)
    target = track_file(paths.clips_dir, entry.track_uri, ".flac")
    clip = Clip(entry.track_id, OK, start, str(target.relative_to(paths.root)), source_sha256=entry.sha256)
    return Cut(clip, data_dir / entry.path, Measured(entry.duration_seconds, entry.decoder), target)


def _old_clips(paths: DatasetPaths, kept_format: str) -> dict[str | None, Clip]:
    """Clips of the last run by path, which follows from the track's uri: ids may have changed since."""
    if not paths.clips.exists() or pl.read_parquet_metadata(paths.clips).get(FORMAT_KEY) != kept_format:
        return {}
    return {row["path"]: Clip(**row) for row in pl.read_parquet(paths.clips).iter_rows(named=True)}


def _kept(old: Clip | None, planned: Cut) -> Clip | None:
    """The old clip where it has the same source, start and place, and the file is still there."""
    if old is None or not planned.target.exists():
        return None
    kept = replace(old, track_id=planned.clip.track_id)
    return kept if replace(kept, sha256=None, detail="") == planned.clip else None


def make_cutter(config: ClipConfig) -> Callable[[Cut], Clip]:
    """The work of one process; see `map_in_processes`."""
    return lambda cut: cut_clip(cut, config)


def cut_clip(cut: Cut, config: ClipConfig) -> Clip:
    """Writes the clip's file and completes its row; a source that can't be cut is a row with the reason."""
    assert cut.clip.start_seconds is not None
    if not cut.source.exists():
        return _without_file(cut.clip, "error", f"{cut.source.name} is gone; materialize mp3 again, then clips")
    try:
        samples, rate_hz = read_window(cut.source, cut.clip.start_seconds, config.clip_seconds, cut.measured)
    except CorruptAudio as error:
        return _without_file(cut.clip, "corrupt", str(error))
    except OSError as error:
        return _without_file(cut.clip, "error", f"cannot read {cut.source.name}: {error.strerror}")
    if not np.isfinite(samples).all():
        return _without_file(cut.clip, "corrupt", "samples that are no numbers")
    resampled = resample(samples, rate_hz, config)
    with atomic_path(cut.target) as partial:
        soundfile.write(partial, resampled, config.sample_rate_hz, subtype="PCM_16", format="FLAC")
    return replace(cut.clip, sha256=hash_file(cut.target), detail=warning_of(resampled))


def resample(samples: np.ndarray, rate_hz: int, config: ClipConfig) -> np.ndarray:
    """Mono float32 [clip_seconds * sample_rate_hz], whatever rate it comes from (soxr, high quality)."""
    num_samples = round(config.clip_seconds * config.sample_rate_hz)
    resampled = soxr.resample(samples, rate_hz, config.sample_rate_hz, quality="HQ")[:num_samples]
    return np.pad(resampled, (0, num_samples - len(resampled)))


def warning_of(samples: np.ndarray) -> str:
    """`silent`, or the share of samples at full scale where it is large; empty for an ordinary clip."""
    level_dbfs = 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-20)
    if level_dbfs < SILENCE_DBFS:
        return "silent"
    clipped = float(np.mean(np.abs(samples) >= FULL_SCALE))
    return f"clipped: {clipped:.1%} of samples at full scale" if clipped > CLIPPED_SHARE else ""


def _without_file(clip: Clip, status: str, detail: str) -> Clip:
    return replace(clip, status=status, path=None, detail=detail)
