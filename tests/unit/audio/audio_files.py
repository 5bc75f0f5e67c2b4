"""Helpers of the audio tests: small real audio files, and jobs of a dataset with a few tracks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import polars as pl
import soundfile

from larp_core.config import ClipConfig
from larp_core.config.recipes import recipe_named
from larp_core.config.settings import Settings
from larp_core.graph.job import Job
from larp_core.graph.registry import job_named


def chirp(seconds: float, rate_hz: int = 44_100, channels: int = 2, level: float = 0.5) -> np.ndarray:
    """float32 [channels, n]: a sweep over a click each second, so that no two moments sound the same."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    sweep = level * 0.8 * np.sin(2 * np.pi * (200 + 15 * time) * time)
    clicks = level * 0.2 * (time % 1 < 0.01)
    return np.tile((sweep + clicks).astype(np.float32), (channels, 1))


def write_audio(
    path: Path, samples: np.ndarray, rate_hz: int = 44_100, codec: str = "libmp3lame", **options: str
) -> Path:
    """Encodes float32 [channels, n], in the container of the suffix: Vorbis with libsndfile, all else with FFmpeg."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if codec == "vorbis":  # FFmpeg's own encoder of it is experimental, and libsndfile takes it in small blocks only
        with soundfile.SoundFile(path, "w", rate_hz, len(samples), format="OGG", subtype="VORBIS") as sound:
            for start in range(0, samples.shape[1], rate_hz):
                sound.write(samples[:, start : start + rate_hz].T)
        return path
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(samples)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate_hz, layout=layout, options=options)
        fifo = av.AudioFifo()
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
        frame.sample_rate = rate_hz
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate_hz)
        for converted in resampler.resample(frame):
            fifo.write(converted)
        while (chunk := fifo.read(stream.frame_size or 1_152, partial=True)) is not None:
            container.mux(stream.encode(chunk))
        container.mux(stream.encode(None))
    return path


def write_tracks(job: Job, uris: list[str]) -> None:
    """`tracks.parquet`, the split and `metadata.parquet` of a dataset with these tracks, ids in the order given."""
    count = len(uris)
    tracks = pl.DataFrame(
        {
            "track_id": pl.Series(range(count), dtype=pl.Int32),
            "track_uri": uris,
            "track_name": [f"Song {i}" for i in range(count)],
            "artist_name": ["Somebody"] * count,
            "duration_ms": pl.Series([None] * count, dtype=pl.Int32),
        }
    )
    job.paths.split_tracks.parent.mkdir(parents=True, exist_ok=True)
    tracks.write_parquet(job.paths.tracks)
    tracks.write_parquet(job.paths.metadata)
    tracks.select("track_id", split=pl.lit("train")).write_parquet(job.paths.split_tracks)


def job_of(
    step: str, data_dir: Path, dataset: str = "mpd", clip: ClipConfig | None = None, **folders: Path | None
) -> Job:
    recipe = recipe_named("smoke")
    recipe = replace(recipe, clip=clip) if clip else recipe
    return job_named(step, Settings(data_dir, recipe, (dataset,), **folders), dataset)


def clip_rows(job: Job) -> dict[str, dict]:
    """`clips.parquet` by track uri."""
    tracks = pl.read_parquet(job.paths.tracks, columns=["track_id", "track_uri"])
    clips = pl.read_parquet(job.paths.clips).join(tracks, on="track_id")
    return {row["track_uri"]: row for row in clips.iter_rows(named=True)}
