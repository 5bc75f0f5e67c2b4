"""Small real songs with tags, and playlists of them."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import mutagen
from audio_files import chirp, write_audio

CODECS = {
    ".mp3": "libmp3lame",
    ".flac": "flac",
    ".m4a": "aac",
    ".ogg": "vorbis",
    ".opus": "libopus",
    ".wav": "pcm_s16le",
}


def write_song(path: Path, seconds: float = 0.5, **tags: str | list[str]) -> Path:
    """A song in the format of the suffix, its tags by mutagen's easy names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_sound(path.suffix, seconds))
    if tags:
        audio = mutagen.File(path, easy=True)
        if audio.tags is None:
            audio.add_tags()
        for name, value in tags.items():
            audio[name] = value
        audio.save()
    return path


def write_m3u(path: Path, lines: Sequence[str], encoding: str = "utf-8", end: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(end.join([*lines, ""]).encode(encoding))
    return path


@functools.cache
def _sound(suffix: str, seconds: float) -> bytes:
    folder = Path(tempfile.mkdtemp())
    try:
        rate_hz = 48_000 if suffix == ".opus" else 44_100
        samples = chirp(seconds, rate_hz, channels=1)
        return write_audio(folder / f"song{suffix}", samples, rate_hz, CODECS[suffix]).read_bytes()
    finally:
        shutil.rmtree(folder)
