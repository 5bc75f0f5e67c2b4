"""The demo world's playlists as Million Playlist Dataset slices and its listeners as LFM-2b tables, with real traps.

MPD: `mpd.slice.<first>-<last>.json` (README of the AIcrowd "Spotify Million Playlist Dataset Challenge").
LFM-2b: `<table>.tsv.bz2`, tabs, a header, no quoting (Schedl et al., CHIIR 2022).
"""

from __future__ import annotations

import bz2
import datetime
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from larp_core.demo.catalogue import Catalogue
from larp_core.demo.mp3 import duration_ms
from larp_core.demo.music import DemoTrack, random_generator
from larp_core.demo.playlists import Collection
from larp_core.demo.words import COUNTRIES, PLAYLIST_WORDS
from larp_core.runtime.files import atomic_path, write_text

NUM_SLICES = 3
REPEATED_TRACK_FRACTION = 0.05
DESCRIPTION_FRACTION = 0.1
MISSING_URI_FRACTION = 0.02
SHARED_URI_FRACTION = 0.01
MEAN_PLAYS = 1.8
FIRST_TRACK_ID, FIRST_ALBUM_ID, FIRST_USER_ID = 200_000, 50_000, 1_000
WORLD_STARTS = datetime.datetime(2019, 1, 1)
LISTENING_DAYS = 540


def write_mpd(catalogue: Catalogue, playlists: list[Collection], folder: Path, seed: int) -> list[Path]:
    """Writes the slices; returns their paths.

    Traps: `collaborative` is a string, a few descriptions hold HTML entities, a track may stand twice in a playlist.
    """
    size = -(-len(playlists) // NUM_SLICES)
    paths = []
    for first in range(0, len(playlists), size):
        chosen = playlists[first : first + size]
        name = f"{first}-{first + len(chosen) - 1}"
        info = {"generated_on": "2017-12-03 08:41:42.057563", "slice": name, "version": "v1"}
        rows = [_mpd_playlist(catalogue, playlist, first + i, seed) for i, playlist in enumerate(chosen)]
        content = json.dumps({"info": info, "playlists": rows}, indent=1)
        paths.append(write_text(content + "\n", folder / f"mpd.slice.{name}.json"))
    return paths


def _mpd_playlist(catalogue: Catalogue, playlist: Collection, pid: int, seed: int) -> dict[str, Any]:
    rng = random_generator("mpd", seed, pid)
    tracks = [catalogue.tracks[index] for index in playlist.tracks]
    if rng.random() < REPEATED_TRACK_FRACTION:
        tracks.append(tracks[0])
    row: dict[str, Any] = {
        "name": " ".join(rng.choice(PLAYLIST_WORDS.split(), size=2)),
        "collaborative": "true" if rng.random() < 0.03 else "false",
        "pid": pid,
        "modified_at": 1_493_424_000 + 86_400 * int(rng.integers(180)),
        "num_tracks": len(tracks),
        "num_albums": len({track.album_index for track in tracks}),
        "num_followers": int(rng.geometric(0.5)),
        "num_edits": int(rng.integers(1, 40)),
        "duration_ms": sum(duration_ms(track) for track in tracks),
        "num_artists": len({track.artist_index for track in tracks}),
        "tracks": [_mpd_track(track, position) for position, track in enumerate(tracks)],
    }
    if rng.random() < DESCRIPTION_FRACTION:
        row["description"] = "rock &amp; roll, it&#x27;s all here"
    return row


def _mpd_track(track: DemoTrack, position: int) -> dict[str, Any]:
    return {
        "pos": position,
        "artist_name": track.artist.name,
        "track_uri": f"spotify:track:{track.uri}",
        "artist_uri": f"spotify:artist:{track.artist.uri}",
        "track_name": track.name,
        "album_uri": f"spotify:album:{track.album.uri}",
        "duration_ms": duration_ms(track),
        "album_name": track.album.name,
    }


def write_lfm2b(catalogue: Catalogue, listeners: list[Collection], folder: Path, seed: int) -> list[Path]:
    """Writes the seven tables; returns their paths.

    Traps: tracks without a uri, two track ids with one uri (the second has a bare quotation mark in its name), and
    unknown ages.
    """
    # The ids that a track goes by: a second one for a few, whose events are then shared out between both.
    rng = random_generator("lfm ids", seed)
    has_uri = rng.random(len(catalogue.tracks)) >= MISSING_URI_FRACTION
    is_double = has_uri & (rng.random(len(catalogue.tracks)) < SHARED_URI_FRACTION)
    ids = [
        [FIRST_TRACK_ID + 3 * i, *([FIRST_TRACK_ID + 3 * i + 1] if is_double[i] else [])] for i in range(is_double.size)
    ]
    events = pl.concat(
        [_events_of(catalogue, listener, number, ids, seed) for number, listener in enumerate(listeners)]
    )
    tables = {
        "users": _rows("user_id country age gender creation_time", _users(len(listeners), seed)),
        "artists": _rows("artist_id artist_name", ((i, artist.name) for i, artist in enumerate(catalogue.artists))),
        "albums": _rows(
            "album_id album_name artist_name",
            ((FIRST_ALBUM_ID + i, a.name, catalogue.artists[a.artist].name) for i, a in enumerate(catalogue.albums)),
        ),
        "tracks": _rows("track_id artist_name track_name", _lfm_tracks(catalogue, ids)),
        "spotify-uris": _rows(
            "track_id uri", ((i, t.uri) for t in catalogue.tracks if has_uri[t.index] for i in ids[t.index])
        ),
        "listening-events": events,
        "listening-counts": events.group_by("user_id", "track_id", maintain_order=True).agg(count=pl.len()),
    }
    return [_write_tsv(frame, folder / f"{name}.tsv.bz2") for name, frame in tables.items()]


def _lfm_tracks(catalogue: Catalogue, ids: list[list[int]]) -> Iterable[tuple[int, str, str]]:
    for track in catalogue.tracks:
        for number, track_id in enumerate(ids[track.index]):
            yield track_id, track.artist.name, track.name + (' (12" Mix)' if number else "")


def _users(number: int, seed: int) -> Iterable[tuple[int, str, int, str, str]]:
    for index in range(number):
        rng = random_generator("user", seed, index)
        age = -1 if rng.random() < 0.3 else int(rng.integers(16, 60))
        created = WORLD_STARTS - datetime.timedelta(days=int(rng.integers(1, 3000)))
        country, gender = str(rng.choice(COUNTRIES)), str(rng.choice(["m", "f", "n"]))
        yield FIRST_USER_ID + index, country, age, gender, created.strftime("%Y-%m-%d %H:%M:%S")


def _events_of(
    catalogue: Catalogue, listener: Collection, number: int, ids: list[list[int]], seed: int
) -> pl.DataFrame:
    """Every play of one listener, the latest first as in the real file."""
    rng = random_generator("events", seed, number)
    rows = []
    for index in listener.tracks:
        for _ in range(int(rng.geometric(1 / MEAN_PLAYS))):
            seconds = int(rng.integers(LISTENING_DAYS * 86_400))
            played_at = (WORLD_STARTS + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")
            track_id = ids[index][int(rng.integers(len(ids[index])))]
            album_id = FIRST_ALBUM_ID + catalogue.tracks[index].album_index
            rows.append((FIRST_USER_ID + number, track_id, album_id, played_at))
    frame = _rows("user_id track_id album_id timestamp", rows)
    return frame.sort("timestamp", "track_id", descending=[True, False])


def _rows(columns: str, rows: Iterable[tuple[Any, ...]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=columns.split(), orient="row")


def _write_tsv(frame: pl.DataFrame, path: Path) -> Path:
    buffer = io.BytesIO()
    frame.write_csv(buffer, separator="\t", quote_style="never")
    with atomic_path(path) as partial:
        partial.write_bytes(bz2.compress(buffer.getvalue()))
    return path
