"""Bounds of decoding: a file that hangs, kills or bloats its decoder costs one process and one row, no more.

The bad decoders are stand-ins that the work function puts in the place of soundfile's.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_files import chirp, write_audio

from larp_core.audio import decode
from larp_core.audio.decode import CorruptAudio, measure, read_window
from larp_core.runtime import limits, workers
from larp_core.runtime.workers import Crashed, map_in_processes


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "ISOLATES", True)


def make_bad_decoder(max_seconds: float) -> Callable[[Path], float | str]:
    """Measures a file; by its name, its decoder hangs in native code, never ends, dies or wants a terabyte."""
    limits.MAX_SECONDS = max_seconds
    limits.GRACE_SECONDS = 0.2
    opened = decode._open_with_libsndfile

    def open_badly(path: Path) -> soundfile.SoundFile:
        if path.stem == "hangs":
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
            time.sleep(60)
        if path.stem == "dies":
            os.kill(os.getpid(), signal.SIGSEGV)
        if path.stem == "bloats":
            np.empty(1 << 37, np.float64)
        if path.stem == "bloats slowly":
            kept = []
            while True:
                kept.append(np.empty(1 << 20, np.float64))
        return opened(path)

    decode._open_with_libsndfile = open_badly

    def work(path: Path) -> float | str:
        try:
            return measure(path).duration_seconds
        except CorruptAudio as error:
            return str(error)

    return work


def test_bad_files_take_down_no_more_than_their_process(tmp_path: Path) -> None:
    names = ["good 1", "hangs", "good 2", "dies", "bloats", "good 3", "bloats slowly", "good 4"]
    files = [tmp_path / f"{name}.flac" for name in names]
    for file in files:
        soundfile.write(file, chirp(1.0, 8_000, 1).T, 8_000)
    started = time.monotonic()
    results = {path.stem: result for path, result in map_in_processes(make_bad_decoder, (2.0,), files, isolated=True)}
    assert time.monotonic() - started < 30  # not the minute for which one hangs
    assert {name: results[name] for name in names if name.startswith("good")} == {f"good {i}": 1.0 for i in range(1, 5)}
    assert isinstance(results["hangs"], Crashed)
    assert "exit code 1" in str(results["hangs"])
    assert "SIGSEGV" in str(results["dies"])
    assert results["bloats"] == results["bloats slowly"] == "decoding takes too much memory"


def make_costs(_: None) -> Callable[[Path], tuple[str, float, float, int]]:
    """For a file: how it ended, the seconds it took, and by how many bytes the process grew at its largest."""
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def work(path: Path) -> tuple[str, float, float, int]:
        started = time.monotonic()
        ending, duration = "read", 0.0
        try:
            measured = measure(path)
            duration = measured.duration_seconds
            if duration >= 1:
                read_window(path, duration / 3, min(10.0, duration / 2), measured)
        except CorruptAudio as error:
            ending = str(error)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) * 1024
        return ending, duration, time.monotonic() - started, grown

    return work


def claims_hours(folder: Path) -> list[Path]:
    """A WAV, a FLAC, an MP3 and an AIFF of a second or two, whose headers claim hours."""
    samples = chirp(2.0, 8_000, 1).T
    wav, flac, aiff = (folder / f"long.{suffix}" for suffix in ("wav", "flac", "aiff"))
    for path in (wav, flac, aiff):
        soundfile.write(path, samples, 8_000, subtype="PCM_16")
    content = bytearray(wav.read_bytes())
    content[4:8] = content[40:44] = (0xFFFFFFF0).to_bytes(4, "little")
    wav.write_bytes(content)
    content = bytearray(flac.read_bytes())
    content[21:26] = bytes([content[21] | 0x0F, 0xFF, 0xFF, 0xFF, 0xFF])  # 2^36 - 1 samples: 99 days
    flac.write_bytes(content)
    content = bytearray(aiff.read_bytes())
    at = content.index(b"COMM") + 10
    content[at : at + 4] = b"\xff\xff\xff\xff"
    aiff.write_bytes(content)
    mp3 = write_audio(folder / "long.mp3", chirp(2.0, 44_100, 1), b="64k")
    content = bytearray(mp3.read_bytes())
    at = max(content.find(b"Xing"), content.find(b"Info")) + 8
    assert at > 8
    content[at : at + 4] = (500_000_000).to_bytes(4, "big")
    mp3.write_bytes(content)
    return [wav, flac, aiff, mp3]


def test_headers_that_claim_hours_cost_no_more_than_what_is_there(tmp_path: Path) -> None:
    for path, (_, duration, seconds, grown) in map_in_processes(
        make_costs, (None,), claims_hours(tmp_path), isolated=True
    ):
        assert duration < 2.5, path.name
        assert seconds < 5, path.name
        assert grown < 500e6, path.name


def test_every_odd_file_stays_within_its_bounds(sample_data: Path) -> None:
    files = sorted((sample_data / "audio_odd").iterdir())
    results = {path.name: result for path, result in map_in_processes(make_costs, (None,), files, isolated=True)}
    assert len(results) == len(files)
    for name, (ending, _, seconds, grown) in results.items():
        assert ending, name
        assert seconds < 5, name
        assert grown < 500e6, name


def test_time_is_bounded_in_this_process_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "x.flac", chirp(5.0, 8_000, 1).T, 8_000)
    monkeypatch.setattr(limits, "MAX_SECONDS", -1.0)
    with pytest.raises(CorruptAudio, match="decoding took more than"):
        measure(tmp_path / "x.flac")


def test_a_pipe_is_no_audio(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.mp3")
    with pytest.raises(CorruptAudio, match="not a regular file"):
        measure(tmp_path / "x.mp3")
