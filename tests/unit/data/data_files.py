"""Writes small files in the formats of the Million Playlist Dataset and of LFM-2b."""

from __future__ import annotations

import bz2
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def mpd_uri(number: int) -> str:
    return f"T{number:021d}"


def mpd_track(number: int, position: int, **fields: Any) -> dict[str, Any]:
    return {
        "pos": position,
        "artist_name": f"Artist {number % 7}",
        "track_uri": f"spotify:track:{mpd_uri(number)}",
        "artist_uri": f"spotify:artist:A{number % 7:021d}",
        "track_name": f"Song {number}",
        "album_uri": f"spotify:album:B{number % 11:021d}",
        "duration_ms": 200_000 + number,
        "album_name": f"Album {number % 11}",
    } | fields


def mpd_playlist(pid: int, numbers: list[int], **fields: Any) -> dict[str, Any]:
    tracks = [mpd_track(number, position) for position, number in enumerate(numbers)]
    return {
        "name": f"list {pid}",
        "collaborative": "false",
        "pid": pid,
        "num_tracks": len(tracks),
        "tracks": tracks,
    } | fields


def write_slice(folder: Path, first: int, playlists: list[Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"mpd.slice.{first}-{first + 999}.json"
    path.write_text(json.dumps({"info": {"version": "v1"}, "playlists": playlists}), encoding="utf-8")
    return path


def write_tsv(
    folder: Path, name: str, header: str, rows: list[tuple[Any, ...]], end: str = "\n", packed: bool = True
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    text = end.join([header.replace(" ", "\t"), *("\t".join(map(str, row)) for row in rows)]) + end
    path = folder / f"{name}.tsv{'.bz2' if packed else ''}"
    path.write_bytes(bz2.compress(text.encode()) if packed else text.encode())
    return path


def write_lfm(
    folder: Path, events: list[tuple[Any, ...]], tracks: list[tuple[Any, ...]], uris: Sequence[tuple[Any, ...]] = ()
) -> Path:
    """Events `(user_id, track_id, album_id, timestamp)`, tracks `(track_id, artist, name)`, uris `(track_id, uri)`."""
    write_tsv(folder, "listening-events", "user_id track_id album_id timestamp", events)
    write_tsv(folder, "tracks", "track_id artist_name track_name", tracks)
    if uris:
        write_tsv(folder, "spotify-uris", "track_id uri", list(uris))
    return folder
