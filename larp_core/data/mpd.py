"""The Million Playlist Dataset: its constants, and the reader of a folder of `mpd.slice.<start>-<end>.json`.

Format: {"info": {...}, "playlists": [{"pid", "name", "tracks": [{"pos", "track_uri": "spotify:track:<22>",
"track_name", "artist_uri", "artist_name", "album_uri", "album_name", "duration_ms"}], ...}]}, UTF-8, 1,000
playlists a file.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from tqdm import tqdm

from larp_core.data.chunk import INTERACTION_SCHEMA, PLAYLIST_SCHEMA, TRACK_SCHEMA, TRACK_URI, Chunk
from larp_core.errors import UserError

LICENCE = "research only, no redistribution: the Million Playlist Dataset's terms (AIcrowd, Spotify)"
CITATION = "Chen, Lamere, Schedl, Zamani: RecSys Challenge 2018, RecSys 2018, doi 10.1145/3240323.3240342"
DEMO_FOLDER = "mpd"
EXPECTED_FILES = "mpd.slice.*.json files"
FILE_NAME = re.compile(r"mpd\.slice\.(\d+)-(\d+)\.json")

ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
MAX_INT32 = 2**31 - 1


def find_files(folder: Path) -> list[Path]:
    """The slices of a folder in numeric order. Raises UserError where there are none."""
    found = [(match, path) for path in folder.iterdir() if (match := FILE_NAME.fullmatch(path.name))]
    if not found:
        raise UserError(f"{folder} holds no {EXPECTED_FILES}")
    return [path for _, path in sorted(found, key=lambda item: (int(item[0][1]), int(item[0][2])))]


def read_chunks(folder: Path, dropped: Counter[str]) -> Iterator[Chunk]:
    """One chunk a slice. What can't be kept is counted in `dropped` by its reason.

    Raises:
        UserError: a file is not JSON, or has no list `playlists`.
    """
    for path in tqdm(find_files(folder), desc="slices", unit="file", disable=None):
        yield _read_slice(path, dropped)


def _read_slice(path: Path, dropped: Counter[str]) -> Chunk:
    names: dict[str, str | None] = {}
    tracks: dict[str, tuple[Any, ...]] = {}
    rows: list[tuple[str, str, int]] = []
    for playlist in _load_playlists(path):
        if not isinstance(playlist, dict) or not isinstance(playlist.get("tracks"), list):
            dropped["playlists without a list `tracks`"] += 1
            continue
        pid = playlist.get("pid")
        if not isinstance(pid, int | str) or isinstance(pid, bool) or pid == "":
            dropped["playlists without a `pid`"] += 1
            continue
        source_id = str(pid)
        if source_id in names:
            dropped["playlists whose `pid` was there before"] += 1
            continue
        positions = _first_positions(playlist["tracks"], tracks, dropped)
        if not positions:
            dropped["playlists without a usable track"] += 1
            continue
        names[source_id] = _text(playlist.get("name"))
        rows += [(source_id, uri, position) for uri, position in positions.items()]
    playlists = {"source_id": list(names), "name": list(names.values())}
    interactions = pl.DataFrame(rows, schema=dict(list(INTERACTION_SCHEMA.items())[:3]), orient="row")
    return Chunk(
        playlists=pl.DataFrame(playlists, schema=PLAYLIST_SCHEMA),
        tracks=pl.DataFrame(list(tracks.values()), schema=TRACK_SCHEMA, orient="row"),
        interactions=interactions.with_columns(pl.lit(None, pl.Datetime("us")).alias("played_at")),
    )


def _load_playlists(path: Path) -> list[Any]:
    try:
        content = orjson.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise UserError(f"{path}: not valid JSON ({error}); copy the slice again from the distribution") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); replace the file or allow reading it") from None
    playlists = content.get("playlists") if isinstance(content, dict) else None
    if not isinstance(playlists, list):
        raise UserError(
            f"{path}: field `playlists` is missing or not a list; replace it by a slice of the distribution"
        )
    return playlists


def _first_positions(entries: list[Any], tracks: dict[str, tuple[Any, ...]], dropped: Counter[str]) -> dict[str, int]:
    """Uri -> first position of one playlist; tracks not met before are added to `tracks`."""
    positions: dict[str, int] = {}
    for index, entry in enumerate(entries):
        uri = _bare(entry.get("track_uri"), "spotify:track:") if isinstance(entry, dict) else None
        if uri is None or not TRACK_URI.fullmatch(uri):
            dropped["entries without a well-formed `track_uri`"] += 1
            continue
        position = entry.get("pos")
        if type(position) is not int or not 0 <= position <= MAX_INT32:
            position = index
        if uri in positions:
            dropped["repeats of a track within a playlist (kept once)"] += 1
            position = min(position, positions[uri])
        positions[uri] = position
        if uri not in tracks:
            tracks[uri] = _track(uri, entry)
    return positions


def _track(uri: str, entry: dict[str, Any]) -> tuple[Any, ...]:
    """A row of `TRACK_SCHEMA`. A duration that is not positive says nothing and becomes null."""
    duration = entry.get("duration_ms")
    return (
        uri,
        _text(entry.get("track_name")),
        _bare(entry.get("artist_uri"), "spotify:artist:"),
        _text(entry.get("artist_name")),
        _bare(entry.get("album_uri"), "spotify:album:"),
        _text(entry.get("album_name")),
        duration if type(duration) is int and 0 < duration <= MAX_INT32 else None,
    )


def _bare(value: Any, prefix: str) -> str | None:
    return value.strip().removeprefix(prefix) or None if isinstance(value, str) else None


def _text(value: Any) -> str | None:
    """A name with its HTML entities decoded; only those closed by `;`, since "Rock&not" is a name, not an entity."""
    if not isinstance(value, str) or not value.strip():
        return None
    return ENTITY.sub(lambda match: html.unescape(match[0]), value) if "&" in value else value
