"""What `clips.py` works on: music, and a dataset whose tracks have been acquired."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl

from larp_core.audio.acquire.ledger import OK, Entry, Ledger
from larp_core.audio.clips.offsets import start_of_clip
from larp_core.audio.decode import measure
from larp_core.config.recipes import recipe_named
from larp_core.config.settings import Settings
from larp_core.graph.job import Job
from larp_core.graph.registry import job_named
from larp_core.runtime.files import write_json

TRACK_SECONDS = 240
NUM_DIFFERENT = 4


def write_music(folder: Path) -> None:
    """Four-minute stereo MP3s at 192 kbit/s: chords that change each second, in noise."""
    import av

    folder.mkdir(parents=True)
    rate_hz = 44_100
    for index in range(NUM_DIFFERENT):
        random = np.random.default_rng(index)
        with av.open(str(folder / f"{index}.mp3"), "w") as container:
            stream = container.add_stream("libmp3lame", rate=rate_hz, layout="stereo", options={"b": "192k"})
            fifo = av.AudioFifo()
            for _ in range(TRACK_SECONDS):
                time_s = np.arange(rate_hz) / rate_hz
                tones = sum(np.sin(2 * np.pi * hz * time_s) for hz in 110 * 2 ** (random.integers(0, 48, 6) / 12))
                samples = 0.05 * tones + random.normal(0, 0.02, (2, rate_hz))
                frame = av.AudioFrame.from_ndarray(samples.astype(np.float32), format="fltp", layout="stereo")
                frame.sample_rate = rate_hz
                fifo.write(frame)
                while (chunk := fifo.read(stream.frame_size)) is not None:
                    container.mux(stream.encode(chunk))
            container.mux(stream.encode(None))


def write_plain(folder: Path) -> None:
    """A minute that costs little to decode and to encode: many of such tracks don't take long."""
    import soundfile

    folder.mkdir(parents=True)
    samples = np.zeros(60 * 48_000, np.float32)
    samples[::1_000] = 0.5
    soundfile.write(folder / "plain.wav", samples, 48_000, subtype="PCM_16")


def windows(folder: Path, count: int) -> list[tuple[Path, float]]:
    """File and start in seconds of so many tracks' clips."""
    config = recipe_named("paper").clip
    starts = [start_of_clip(f"track{index:05}", TRACK_SECONDS, config) for index in range(count)]
    return [
        (folder / "music" / f"{index % NUM_DIFFERENT}.mp3", float(start))  # type: ignore[arg-type]
        for index, start in enumerate(starts)
    ]


def jobs_in(folder: Path) -> tuple[Job, Job]:
    """The steps `clips` and `mels` of the dataset that `write_acquired` has made."""
    settings = Settings(folder / "data", recipe_named("paper"), ("mpd",), mpd_dir=folder)
    clips, mels = (job_named(name, settings, "mpd") for name in ("clips", "mels"))
    return clips, mels


def write_acquired(folder: Path, count: int, music: str = "music") -> None:
    """A dataset whose ledger names `count` tracks, with neither clips nor mels yet.

    Their audio is the files in `music`, again and again. The entries leave holes in the memory of the process that
    makes them: what is measured should be another one.
    """
    shutil.rmtree(folder / "data", ignore_errors=True)
    clips, _ = jobs_in(folder)
    clips.paths.split_tracks.parent.mkdir(parents=True)
    ids = pl.DataFrame({"track_id": pl.int_range(count, dtype=pl.Int32, eager=True)})
    ids.with_columns(split=pl.lit("train")).write_parquet(clips.paths.split_tracks)
    ledger = Ledger(clips.paths.ledger)
    measured = [(path, measure(path)) for path in sorted((folder / music).iterdir())]
    for index in range(count):
        path, length = measured[index % len(measured)]
        uri, seconds = f"track{index:05}", round(length.duration_seconds, 6)
        ledger.record(Entry(index, uri, OK, "local", str(path), uri, seconds, length.decoder))
    frame = ledger.save()
    frame.select("track_id", "track_uri").write_parquet(clips.paths.tracks)
    for parent in clips.upstream():
        write_json({"digest": "made before"}, parent.stamp)
