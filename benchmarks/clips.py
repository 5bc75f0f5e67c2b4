"""The clip factory: 4-minute 192 kbit/s MP3s to clip FLAC and log-mel, beside what others do and the decoder alone.

    python benchmarks/clips.py                  1,000 tracks
    python benchmarks/clips.py --tracks 10000

The factory is the steps `clips` and `mels` as the graph runs them, worker processes and all; what `mp3` does before, a
full decode that gives the length, has been done. A clip's cost is the difference of a run of all the tracks and one of
a tenth, so that imports and pictures, which cost the same for any number, stand apart. Its rivals do the same windows:

(a) the published procedure: the whole file decoded with librosa for its length, ffmpeg from there to an MP3 of 10 s
    (`-ss` after `-i`), which is loaded again and turned into CLAP's features;
(b) opening, seeking, decoding, averaging the channels (numpy's `mean`) and resampling (soxr), and nothing else.

All run in fresh processes on the same core, one after another; the best of `--repeats` rounds counts. On a machine with
other work the processors' time, which stands beside the seconds, tells more. Prints `figure: measured (required
bound)`, exits 1 where a bound does not hold.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from clips_meters import Clock, Memory

from larp_core.audio.decode import measure as measure_file
from larp_core.audio.ledger import OK, Entry, Ledger
from larp_core.audio.offsets import start_of_clip
from larp_core.files import write_json
from larp_core.recipes import recipe_named
from larp_core.settings import Settings
from larp_core.steps import Job, step_named

MIN_SPEED_UP = 15.0
MAX_OVER_DECODER = 1.8
MIN_TWO_CORES = 1.8
MAX_GROWTH = 1.1
MAX_RERUN_SECONDS = 1.0
NUM_RERUN_TRACKS = 10_000

TRACK_SECONDS = 240
NUM_DIFFERENT = 4
NUM_PUBLISHED = 12
"""Tracks of the published procedure, which takes half a second each."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        mode, folder, count = options.child
        print(json.dumps(CHILDREN[mode](Path(folder), int(count))))
        return 0
    with tempfile.TemporaryDirectory() as name:
        figures = measure(Path(name), options.tracks, options.repeats)
    for text, measured, bound, _ in figures:
        print(f"{text}: {measured} ({bound})")
    return 0 if all(holds for *_, holds in figures) else 1


def measure(folder: Path, num_tracks: int, repeats: int) -> list[tuple[str, str, str, bool]]:
    write_music(folder / "music")
    cores = sorted(os.sched_getaffinity(0))
    runs: dict[str, list[dict[str, float]]] = {}

    def child(name: str, mode: str, count: int, num_cores: int = 1) -> None:
        runs.setdefault(name, []).append(run_child(mode, folder, count, cores[:num_cores]))

    for _ in range(repeats):
        child("published", "published", NUM_PUBLISHED)
        child("decoder", "decoder", num_tracks // 4)
        child("few", "factory", num_tracks // 10)
        child("many", "factory", num_tracks)
        if len(cores) > 1:
            child("few on two", "factory", num_tracks // 10, 2)
            child("many on two", "factory", num_tracks, 2)
    child("rerun", "rerun", NUM_RERUN_TRACKS)
    num_more = num_tracks - num_tracks // 10

    def a_track(unit: str) -> tuple[float, float, float]:
        best = {name: min(run[unit] for run in some) for name, some in runs.items()}
        factory = (best["many"] - best["few"]) / num_more
        return best["published"] / NUM_PUBLISHED, best["decoder"] / (num_tracks // 4), factory

    best = {name: min(run["seconds"] for run in some) for name, some in runs.items()}
    published, decoder, factory = a_track("seconds")
    cpu_published, cpu_decoder, cpu_factory = a_track("cpu_seconds")
    memory = [min(run["anonymous_mib"] for run in runs[name]) for name in ("few", "many")]
    figures = [
        ("published procedure, a track", f"{1000 * published:.0f} ms", "no bound", True),
        ("window decoded and resampled, a track", f"{1000 * decoder:.1f} ms", "no bound", True),
        ("factory, a track on one core", f"{1000 * factory:.1f} ms", "no bound", True),
        ("factory, whatever the number", f"{best['few'] - factory * (num_tracks // 10):.1f} s", "no bound", True),
        at_least("published procedure / factory", published / factory, MIN_SPEED_UP),
        ("the same, processor time", f"{cpu_published / cpu_factory:.2f}", "no bound", True),
        at_most("factory / window decoded and resampled", factory / decoder, MAX_OVER_DECODER),
        ("the same, processor time", f"{cpu_factory / cpu_decoder:.2f}", "no bound", True),
    ]
    if len(cores) > 1:
        on_two = (best["many on two"] - best["few on two"]) / num_more
        figures.append(at_least("factory on one core / on two", factory / on_two, MIN_TWO_CORES))
    growth = f"{memory[0]:.0f} MiB and {memory[1]:.0f} MiB for {num_tracks // 10} and {num_tracks} tracks, a factor of"
    figures.append(at_most(f"memory besides files in the page cache: {growth}", memory[1] / memory[0], MAX_GROWTH))
    figures.append(
        at_most(f"re-run of {NUM_RERUN_TRACKS:,} tracks with nothing to do, s", best["rerun"], MAX_RERUN_SECONDS)
    )
    return figures


def at_least(name: str, value: float, bound: float) -> tuple[str, str, str, bool]:
    return name, f"{value:.2f}", f"at least {bound:g}", value >= bound


def at_most(name: str, value: float, bound: float) -> tuple[str, str, str, bool]:
    return name, f"{value:.2f}", f"at most {bound:g}", value <= bound


def run_child(mode: str, folder: Path, count: int, cores: list[int]) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", mode, str(folder), str(count)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: os.sched_setaffinity(0, cores)
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{mode}, {count} tracks, {len(cores)} cores: {result}", file=sys.stderr)
    return result


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


def windows(folder: Path, count: int) -> list[tuple[Path, float]]:
    config = recipe_named("paper").clip
    starts = [start_of_clip(f"track{index:05}", TRACK_SECONDS, config) for index in range(count)]
    return [
        (folder / "music" / f"{index % NUM_DIFFERENT}.mp3", float(start))  # type: ignore[arg-type]
        for index, start in enumerate(starts)
    ]


def published(folder: Path, count: int) -> dict[str, float]:
    import imageio_ffmpeg
    import librosa
    from transformers import ClapFeatureExtractor

    extractor = ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc")
    ffmpeg, clip = imageio_ffmpeg.get_ffmpeg_exe(), folder / "clip.mp3"
    librosa.load(folder / "music" / "0.mp3", sr=48_000, duration=1)  # loads what librosa loads late
    clock = Clock()
    for path, start in windows(folder, count):
        samples, rate_hz = librosa.load(path, sr=None)
        assert len(samples) / rate_hz > start + 10
        command = [ffmpeg, "-y", "-loglevel", "error", "-i", str(path), "-ss", f"{start:.3f}", "-t", "10", str(clip)]
        subprocess.run(command, check=True)
        waveform, _ = librosa.load(clip, sr=48_000)
        features = extractor(waveform[:480_000], sampling_rate=48_000, return_tensors="np")["input_features"]
        assert features.shape[-2:] == (1001, 64)
    return clock.stop()


def decoder(folder: Path, count: int) -> dict[str, float]:
    import soundfile
    import soxr

    clock = Clock()
    for path, start in windows(folder, count):
        with soundfile.SoundFile(path) as sound:
            rate_hz = sound.samplerate
            sound.seek(round(start * rate_hz))
            samples = sound.read(10 * rate_hz, dtype="float32", always_2d=True).mean(axis=1)
        assert len(soxr.resample(samples, rate_hz, 48_000, quality="HQ")) == 480_000
    return clock.stop()


def jobs_in(folder: Path, count: int) -> tuple[Job, Job]:
    """The steps `clips` and `mels` of a dataset whose ledger names `count` tracks, nothing being there of either."""
    import polars as pl

    shutil.rmtree(folder / "data", ignore_errors=True)
    settings = Settings(folder / "data", recipe_named("paper"), ("mpd",), mpd_dir=folder)
    clips, mels = (Job(step_named(name), settings, "mpd") for name in ("clips", "mels"))
    clips.paths.split_tracks.parent.mkdir(parents=True)
    ids = pl.DataFrame({"track_id": pl.int_range(count, dtype=pl.Int32, eager=True)})
    ids.with_columns(split=pl.lit("train")).write_parquet(clips.paths.split_tracks)
    ledger = Ledger(clips.paths.ledger)
    measured = {path: measure_file(path) for path in sorted((folder / "music").iterdir())}
    for index, (path, _) in enumerate(windows(folder, count)):
        uri, seconds = f"track{index:05}", round(measured[path].duration_seconds, 6)
        ledger.record(Entry(index, uri, OK, "local", str(path), uri, seconds, measured[path].decoder))
    frame = ledger.save()
    frame.select("track_id", "track_uri").write_parquet(clips.paths.tracks)
    for parent in clips.upstream():
        write_json({"digest": "made before"}, parent.stamp)
    return clips, mels


def factory(folder: Path, count: int) -> dict[str, float]:
    from larp_core import memo

    for slow_to_import in ("larp_core.audio.mels", "matplotlib.figure"):
        importlib.import_module(slow_to_import)
    jobs = jobs_in(folder, count)
    memory = Memory()
    clock = Clock()
    for job in jobs:
        assert memo.run(job).report.num_rows == count
    return clock.stop() | {"anonymous_mib": memory.stop()}


def rerun(folder: Path, count: int) -> dict[str, float]:
    """The steps asked again: their clips are links to one file, which is what the second time looks at."""
    from larp_core import memo
    from larp_core.audio import clips as clips_module
    from larp_core.files import make_folder

    job, _ = jobs_in(folder, count)
    one = folder / "one.flac"
    import soundfile

    soundfile.write(one, np.zeros(480_000, np.float32), 48_000, subtype="PCM_16")

    def link(cut: Any) -> Any:
        make_folder(cut.target.parent)
        os.link(one, cut.target)
        return clips_module.replace(cut.clip, sha256="same")

    clips_module.map_in_processes = lambda make, arguments, items, **options: ((item, link(item)) for item in items)
    assert memo.run(job).report.num_rows == count
    clock = Clock()
    assert memo.run(job).reused
    return clock.stop()


CHILDREN = {"published": published, "decoder": decoder, "factory": factory, "rerun": rerun}


if __name__ == "__main__":
    sys.exit(main())
