"""File names of tracks: one rule for downloads, clips and the demo's URLs."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

PLAIN = re.compile(r"(?!(?:con|prn|aux|nul|com[0-9]|lpt[0-9])$)[A-Za-z0-9_][A-Za-z0-9_-]{1,63}", re.IGNORECASE)
"""No name that Windows keeps for devices, none that a program would take for an option."""

SPOTIFY_PREFIX = "spotify:track:"


def bare_uri(track_uri: str) -> str:
    """A Spotify track's bare 22 characters; other ids stay as they are."""
    return track_uri.strip().removeprefix(SPOTIFY_PREFIX)


def safe_file_name(track_uri: str) -> str:
    """A file stem that every file system takes, different for different ids: plain ids, such as Spotify's, as they are.

    Others get a digest, a dot (plain ids hold none) and what is readable of the id: `lfm:123` is `d0c9....lfm_123`.
    """
    if PLAIN.fullmatch(track_uri):
        return track_uri
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", track_uri)[:40]
    digest = hashlib.sha256(track_uri.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{digest[:16]}.{readable}"


def clip_file(folder: Path, track_uri: str, clip_index: int) -> Path:
    """The first of a track's clips bears the track's name, and the others a number behind it that no track's has."""
    return track_file(folder, track_uri, f".clip{clip_index}.flac" if clip_index else ".flac")


def track_file(folder: Path, track_uri: str, suffix: str) -> Path:
    """`<folder>/<first two characters>/<name><suffix>`: no folder of a large dataset holds too many files."""
    name = safe_file_name(track_uri)
    return folder / name[:2] / f"{name}{suffix}"
