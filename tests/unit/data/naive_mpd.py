"""The MPD tables in plain Python, one entry at a time: slow and obvious."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
URI = re.compile(r"[0-9A-Za-z][0-9A-Za-z:_.-]{0,63}")
# Unicode's white space, as polars has it: Python adds four control characters.
SPACE = "".join(c for c in map(chr, range(0x110000)) if c.isspace() and c not in "\x1c\x1d\x1e\x1f")


@dataclass
class NaiveTables:
    """`playlists`: source_id -> name; `tracks`: uri -> other fields; `interactions`: (source_id, uri) -> position."""

    num_rows: int = 0
    playlists: dict[str, str | None] = field(default_factory=dict)
    tracks: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    interactions: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, playlists: Iterable[Any], prefix: str = "") -> NaiveTables:
        for playlist in playlists:
            tracks = playlist.get("tracks") if isinstance(playlist, dict) else None
            self.num_rows += max(1, len(tracks)) if isinstance(tracks, list) else 1
            pid = playlist.get("pid") if isinstance(playlist, dict) else None
            if not isinstance(tracks, list) or isinstance(pid, bool) or not isinstance(pid, int | str) or pid == "":
                continue
            if f"{prefix}{pid}" not in self.playlists:
                self._add(f"{prefix}{pid}", playlist.get("name"), tracks)
        return self

    def _add(self, source_id: str, name: Any, tracks: list[Any]) -> None:
        for index, entry in enumerate(tracks):
            uri = bare(entry.get("track_uri"), "spotify:track:") if isinstance(entry, dict) else None
            if uri is None or not URI.fullmatch(uri):
                continue
            position = entry.get("pos")
            if type(position) is not int or not 0 <= position < 2**31:
                position = index
            self.playlists.setdefault(source_id, text(name))
            known = self.interactions.get((source_id, uri), position)
            self.interactions[source_id, uri] = min(position, known)
            duration = entry.get("duration_ms")
            fields = (
                text(entry.get("track_name")),
                bare(entry.get("artist_uri"), "spotify:artist:"),
                text(entry.get("artist_name")),
                bare(entry.get("album_uri"), "spotify:album:"),
                text(entry.get("album_name")),
                duration if type(duration) is int and 0 < duration < 2**31 else None,
            )
            self.tracks.setdefault(uri, fields)


def read_naively(files: list[Path]) -> NaiveTables:
    tables = NaiveTables()
    for path in files:
        tables.add(json.loads(path.read_text(encoding="utf-8"))["playlists"])
    return tables


def bare(value: Any, prefix: str) -> str | None:
    if not isinstance(value, str):
        return None
    value = value.strip(SPACE).removeprefix(prefix)
    return value if value.strip(SPACE) else None


def text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    value = ENTITY.sub(lambda match: html.unescape(match[0]), value)
    return value if value.strip(SPACE) else None
