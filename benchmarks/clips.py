"""The clip factory: 4-minute 192 kbit/s MP3s to clip FLAC and log-mel, beside what others do and the decoder alone.

    python benchmarks/clips.py                  600 tracks for the speed, 10,000 for the memory: two minutes each
    python benchmarks/clips.py --only speed

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
import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from clips_meters import Clock, Memory
from clips_world import jobs_in, windows, write_acquired, write_music, write_plain

MIN_SPEED_UP = 15.0
MIN_GAIN_OF_KEPT_MEMORY = 1.1
MAX_OVER_DECODER = 1.8
MIN_TWO_CORES = 1.8
MAX_GROWTH = 1.1
MAX_RERUN_SECONDS = 1.0
NUM_RERUN_TRACKS = 10_000
NUM_FLAT_TRACKS = 10_000

NUM_PUBLISHED = 12
"""Tracks of the published procedure, which takes half a second each."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--only", choices=("speed", "memory"))
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        mode, folder, count = options.child
        print(json.dumps(CHILDREN[mode](Path(folder), int(count))))
        return 0
    with tempfile.TemporaryDirectory() as name:
        figures = []
        if options.only != "memory":
            figures += measure_speed(Path(name), options.tracks, options.repeats)
        if options.only != "speed":
            figures += measure_memory(Path(name))
    for text, measured, bound, _ in figures:
        print(f"{text}: {measured} ({bound})")
    return 0 if all(holds for *_, holds in figures) else 1


def measure_speed(folder: Path, num_tracks: int, repeats: int) -> list[tuple[str, str, str, bool]]:
    write_music(folder / "music")
    cores = sorted(os.sched_getaffinity(0))
    runs: dict[str, list[dict[str, float]]] = {}

    def child(name: str, mode: str, count: int, num_cores: int = 1) -> None:
        runs.setdefault(name, []).append(run_child(mode, folder, count, cores[:num_cores]))

    for _ in range(repeats):
        child("published", "published", NUM_PUBLISHED)
        child("decoder", "decoder", num_tracks // 4)
        child("mels", "mels", num_tracks // 4)
        child("mels given back", "mels_given_back", num_tracks // 4)
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
    figures = [
        ("published procedure, a track", f"{1000 * published:.0f} ms", "no bound", True),
        ("window decoded and resampled, a track", f"{1000 * decoder:.1f} ms", "no bound", True),
        ("factory, a track on one core", f"{1000 * factory:.1f} ms", "no bound", True),
        ("factory, whatever the number", f"{best['few'] - factory * (num_tracks // 10):.1f} s", "no bound", True),
        at_least("published procedure / factory", published / factory, MIN_SPEED_UP),
        ("the same, processor time", f"{cpu_published / cpu_factory:.2f}", "no bound", True),
        at_most("factory / window decoded and resampled", factory / decoder, MAX_OVER_DECODER),
        at_least(
            "mels: freed memory given back / kept (freed_memory)",
            best["mels given back"] / best["mels"],
            MIN_GAIN_OF_KEPT_MEMORY,
        ),
        ("the same, processor time", f"{cpu_factory / cpu_decoder:.2f}", "no bound", True),
    ]
    if len(cores) > 1:
        on_two = (best["many on two"] - best["few on two"]) / num_more
        figures.append(at_least("factory on one core / on two", factory / on_two, MIN_TWO_CORES))
    figures.append(
        at_most(f"re-run of {NUM_RERUN_TRACKS:,} tracks with nothing to do, s", best["rerun"], MAX_RERUN_SECONDS)
    )
    return figures


def measure_memory(folder: Path) -> list[tuple[str, str, str, bool]]:
    write_plain(folder / "plain")
    counts, cores = (NUM_FLAT_TRACKS // 10, NUM_FLAT_TRACKS), sorted(os.sched_getaffinity(0))
    few, many = (run_child("flat", folder, count, cores)["anonymous_mib"] for count in counts)
    growth = f"{few:.0f} MiB and {many:.0f} MiB for {counts[0]:,} and {counts[1]:,} clips, a factor of"
    return [at_most(f"memory besides files in the page cache: {growth}", many / few, MAX_GROWTH)]


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


def factory(folder: Path, count: int, music: str = "music") -> dict[str, float]:
    from larp_core.graph import memo

    for slow_to_import in ("larp_core.audio.mels.array", "matplotlib.figure", "librosa.filters"):
        importlib.import_module(slow_to_import)
    apart = multiprocessing.get_context("spawn").Process(target=write_acquired, args=(folder, count, music))
    apart.start()
    apart.join()
    jobs = jobs_in(folder)
    memory = Memory()
    clock = Clock()
    for job in jobs:
        assert memo.run(job).report.num_rows == count
    return clock.stop() | {"anonymous_mib": memory.stop()}


def mels(folder: Path, count: int) -> dict[str, float]:
    """The step `mels` alone."""
    from larp_core.graph import memo

    write_acquired(folder, count)
    cut, computed = jobs_in(folder)
    memo.run(cut)
    clock = Clock()
    assert memo.run(computed).report.num_rows == count
    return clock.stop()


def mels_given_back(folder: Path, count: int) -> dict[str, float]:
    """The same by a process that gives freed memory back to the system."""
    from larp_core.audio.mels import array

    array.keep_freed_memory = lambda: None
    return mels(folder, count)


def flat(folder: Path, count: int) -> dict[str, float]:
    """The factory on audio that costs nothing, so that ten thousand tracks take a minute or two."""
    return factory(folder, count, "plain")


def rerun(folder: Path, count: int) -> dict[str, float]:
    """The steps asked again: their clips are links to one file, which is what the second time looks at."""
    from larp_core.audio.clips import factory as clips_module
    from larp_core.graph import memo
    from larp_core.runtime.files import make_folder

    write_acquired(folder, count)
    job, _ = jobs_in(folder)
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


CHILDREN = {
    "published": published,
    "decoder": decoder,
    "factory": factory,
    "mels": mels,
    "mels_given_back": mels_given_back,
    "rerun": rerun,
    "flat": flat,
}


if __name__ == "__main__":
    sys.exit(main())
