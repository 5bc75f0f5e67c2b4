"""Decoding audio of any container, whatever its header claims: measured length, and windows at an exact offset.

One rule chooses the decoder: libsndfile (exact seeking, MP3/Ogg/FLAC/WAV) reads a file if it can read all of it, else
FFmpeg (any container) does. FFmpeg's damaged packets are skipped as its own program does; a file that loses more than
`MAX_DAMAGED` of them is corrupt. Nothing is sized by a header, at most `MAX_SECONDS` of a file are decoded, and a file
that takes more time or memory than its size explains is corrupt (`larp_core.runtime.limits`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile

from larp_core.runtime.limits import Deadline, TooCostly, bounded

Window = tuple[np.ndarray, int]
"""Mono float32 samples and their rate in Hz."""

LIBSNDFILE, FFMPEG = "libsndfile", "ffmpeg"
MAX_SECONDS = 3 * 3600
MAX_DAMAGED = 0.05
MAX_SILENT_PACKETS = 2_000
BLOCK_FRAMES = 1 << 16

RUN_UP_FRAMES, HEAD_FRAMES = 9_216, 4_608
"""Frames decoded before a place in an MP3 so that what follows is right, and frames that may be wrong without."""

NOISE = 1e-6
"""What rounding alone may make of a sample from one decode to another."""


class CorruptAudio(ValueError):
    """No usable audio in a file. The message says why, in a few words."""


@dataclass(frozen=True)
class Measured:
    """Decoded length, and the decoder that read it and so must read the file's windows."""

    duration_seconds: float
    decoder: str


def measure(path: Path) -> Measured:
    """Decodes the whole file, up to `MAX_SECONDS`.

    Raises:
        CorruptAudio: neither decoder finds audio in it, or not within its bounds of time and memory.
        OSError: there is no such file.
    """
    with _bounded(path) as deadline:
        try:
            return Measured(_measure_with_libsndfile(path, deadline), LIBSNDFILE)
        except (soundfile.SoundFileError, CorruptAudio) as refusal:
            try:
                return Measured(_measure_with_ffmpeg(path, deadline), FFMPEG)
            except (av.error.FFmpegError, CorruptAudio) as error:
                raise CorruptAudio(f"ffmpeg: {_reason(error)}; libsndfile: {_reason(refusal)}") from None


def read_window(path: Path, start_seconds: float, num_seconds: float, measured: Measured) -> Window:
    """Mono float32 samples (the mean of the channels) at the file's own rate, and that rate in Hz.

    The window is moved back by a sample where rounding would have it end behind the file.

    Raises:
        CorruptAudio: the file is not the one that was measured, or no longer readable within its bounds.
        OSError: there is no such file.
    """
    read = _window_with_libsndfile if measured.decoder == LIBSNDFILE else _window_with_ffmpeg
    with _bounded(path) as deadline:
        try:
            samples, rate_hz = read(path, start_seconds, num_seconds, measured.duration_seconds, deadline)
        except (soundfile.SoundFileError, av.error.FFmpegError) as error:
            raise CorruptAudio(f"{measured.decoder}: {_reason(error)}") from None
    if len(samples) != round(num_seconds * rate_hz):
        raise CorruptAudio(f"{len(samples) / rate_hz:.3f} s could be read where {num_seconds:g} s were measured")
    return samples, rate_hz


def read_clip(path: Path) -> np.ndarray:
    """Mono float32 samples of a clip's file."""
    return soundfile.read(path, dtype="float32")[0]


@contextlib.contextmanager
def _bounded(path: Path) -> Iterator[Deadline]:
    if path.exists() and not path.is_file():
        raise CorruptAudio("not a regular file")  # reading a pipe or a device might never end
    try:
        with bounded(path) as deadline:
            yield deadline
    except TooCostly as error:
        raise CorruptAudio(str(error)) from None
    except MemoryError:
        raise CorruptAudio("decoding takes too much memory") from None


def _bounds(start_seconds: float, num_seconds: float, duration_seconds: float, rate_hz: int) -> tuple[int, int]:
    num_frames = round(num_seconds * rate_hz)
    start = min(round(start_seconds * rate_hz), round(duration_seconds * rate_hz) - num_frames)
    return max(start, 0), num_frames


def _measure_with_libsndfile(path: Path, deadline: Deadline) -> float:
    num_frames = 0
    with _open_with_libsndfile(path) as sound:
        while num_frames < MAX_SECONDS * sound.samplerate:
            deadline.check()
            block = sound.read(BLOCK_FRAMES, dtype="float32")
            if not len(block):
                break
            num_frames += len(block)
        rate_hz = sound.samplerate
    if not num_frames:
        raise CorruptAudio("no audio in it")
    return num_frames / rate_hz


def _window_with_libsndfile(
    path: Path, start_seconds: float, num_seconds: float, duration: float, deadline: Deadline
) -> Window:
    with _open_with_libsndfile(path) as sound:
        rate_hz = sound.samplerate
        start, num_frames = _bounds(start_seconds, num_seconds, duration, rate_hz)
        if sound.frames == round(duration * rate_hz):
            head = _head_after_run_up(sound, start) if sound.format in ("MP3", "MPEG") else None
            sound.seek(start)
        else:
            head = None
            # The header is wrong, and seeking rests on it: go there by decoding.
            while start > 0 and (skipped := len(sound.read(min(start, BLOCK_FRAMES), dtype="float32"))):
                start -= skipped
                deadline.check()
        samples = sound.read(num_frames, dtype="float32", always_2d=True)
        if head is not None and not np.allclose(head, samples[: len(head)], rtol=0.0, atol=NOISE):
            samples[: len(head)] = head
        return _mean_of_channels(samples), rate_hz


def _mean_of_channels(samples: np.ndarray) -> np.ndarray:
    """Float32 [n] of [n, channels]. For one or two of them the same numbers as `mean`, which takes half as long as
    decoding."""
    num_channels = samples.shape[1]
    if num_channels > 2:
        return samples.mean(axis=1)
    return samples[:, 0] if num_channels == 1 else (samples[:, 0] + samples[:, 1]) / 2


def _head_after_run_up(sound: soundfile.SoundFile, start: int) -> np.ndarray:
    """The first frames from `start`. An MP3's frame may need the bits of many before it, and after a seek libsndfile
    reads too few of them at low bit rates: some 20 ms come out wrong."""
    run_up = min(start, RUN_UP_FRAMES)
    sound.seek(start - run_up)
    return sound.read(run_up + HEAD_FRAMES, dtype="float32", always_2d=True)[run_up:]


def _open_with_libsndfile(path: Path) -> soundfile.SoundFile:
    if path.suffix.lower() == ".raw":  # soundfile asks for a headerless file's format by its name
        raise CorruptAudio("headerless audio")
    return soundfile.SoundFile(path)


def _measure_with_ffmpeg(path: Path, deadline: Deadline) -> float:
    num_frames, rate_hz = 0, 0
    for block, rate_hz in _ffmpeg_blocks(path, deadline):
        num_frames += len(block)
        if num_frames >= MAX_SECONDS * rate_hz:
            break
    if not num_frames:
        raise CorruptAudio("no audio in it")
    return num_frames / rate_hz


def _window_with_ffmpeg(
    path: Path, start_seconds: float, num_seconds: float, duration: float, deadline: Deadline
) -> Window:
    parts: list[np.ndarray] = []
    position, rate_hz = 0, 0
    for block, rate_hz in _ffmpeg_blocks(path, deadline):
        start, num_frames = _bounds(start_seconds, num_seconds, duration, rate_hz)
        parts.append(block[max(start - position, 0) : max(start + num_frames - position, 0)])
        position += len(block)
        if position >= start + num_frames:
            break
    return (np.concatenate(parts) if parts else np.empty(0, np.float32)), max(rate_hz, 1)


def _ffmpeg_blocks(path: Path, deadline: Deadline) -> Iterator[Window]:
    """Blocks at the rate of the first frame: a stream that changes its rate or channels is brought to it."""
    num_packets, num_damaged, num_silent = 0, 0, 0
    with av.open(str(path), metadata_errors="ignore") as container:
        if not container.streams.audio:
            raise CorruptAudio("no audio stream in it")
        converter = _MonoConverter()
        for packet in container.demux(container.streams.audio[0]):
            deadline.check()
            num_packets += 1
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                num_damaged += 1
                frames = []
            num_silent = 0 if frames else num_silent + 1
            if num_silent > MAX_SILENT_PACKETS:
                raise CorruptAudio(f"no audio in {MAX_SILENT_PACKETS} packets")
            for frame in frames:
                yield from converter.convert(frame)
        yield from converter.flush()
    if num_damaged > MAX_DAMAGED * num_packets:
        raise CorruptAudio(f"{num_damaged} of {num_packets} packets are damaged")


class _MonoConverter:
    def __init__(self) -> None:
        self.rate_hz = 0
        self._resampler: av.AudioResampler | None = None
        self._form: tuple[str, str, int] | None = None

    def convert(self, frame: av.AudioFrame) -> Iterator[Window]:
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != self._form:
            yield from self.flush()
            self.rate_hz = self.rate_hz or frame.sample_rate
            self._resampler = av.AudioResampler(format="fltp", layout=frame.layout, rate=self.rate_hz)
            self._form = form
        yield from self._mono(frame)

    def flush(self) -> Iterator[Window]:
        if self._resampler:
            yield from self._mono(None)

    def _mono(self, frame: av.AudioFrame | None) -> Iterator[Window]:
        assert self._resampler is not None
        for converted in self._resampler.resample(frame):
            yield converted.to_ndarray().mean(axis=0), self.rate_hz


def _reason(error: Exception) -> str:
    """The library's own words, without the file's name, which the ledger has anyway."""
    text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return text.rstrip(".").strip() or type(error).__name__
