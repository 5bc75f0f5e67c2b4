"""The demo world as a step of the graph: catalogue, playlists, listeners and MP3s written in the formats of real data.

Files of the same world that an interrupted run left are kept: a track's uri is a hash of all that shapes its audio.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from larp_core.config import WorldConfig
from larp_core.demo.catalogue import Catalogue, make_catalogue
from larp_core.demo.formats import write_lfm2b, write_mpd
from larp_core.demo.mp3 import duration_ms, write_mp3
from larp_core.demo.music import GENRES, MOODS, DemoTrack
from larp_core.demo.pictures import draw_spectrograms
from larp_core.demo.playlists import Collection, make_listeners, make_playlists
from larp_core.runtime.files import make_folder, write_json
from larp_core.runtime.progress import progressing
from larp_core.runtime.report import Report

NUM_EXAMPLES = 10


def build_demo_world(config: WorldConfig, folder: Path) -> Report:
    """Writes the world of `config` into a folder: `mpd/`, `lfm2b/`, `audio/`, `spectrograms.png` and `world.json`.

    `world.json` holds the hidden truth (genre, mood and scene of each track, scenes of each playlist). It is for tests
    and analysis; no other step reads it.
    """
    catalogue = make_catalogue(config)
    playlists, listeners = make_playlists(config, catalogue), make_listeners(config, catalogue)
    num_kept = _write_audio(catalogue, make_folder(folder / "audio"))
    written = write_mpd(catalogue, playlists, make_folder(folder / "mpd"), config.seed)
    written += write_lfm2b(catalogue, listeners, make_folder(folder / "lfm2b"), config.seed)
    _remove_others(folder / "mpd", {path.name for path in written})
    _remove_others(folder / "lfm2b", {path.name for path in written})
    picture = draw_spectrograms(catalogue, folder / "spectrograms.png")
    write_json(_truth(config, catalogue, playlists, listeners), folder / "world.json")
    audio_bytes = sum(path.stat().st_size for path in (folder / "audio").iterdir())
    return Report(
        num_rows=len(catalogue.tracks),
        facts={
            "artists": len(catalogue.artists),
            "albums": len(catalogue.albums),
            "playlists": len(playlists),
            "listeners": len(listeners),
            "mean tracks per playlist": round(sum(len(p.tracks) for p in playlists) / max(len(playlists), 1), 1),
            "audio seconds": round(sum(map(duration_ms, catalogue.tracks)) / 1000),
            "audio MB": round(audio_bytes / 1e6, 1),
            "MP3s kept from an earlier run": num_kept,
        },
        tables={"examples": _examples(catalogue)},
        pictures={"one spectrogram a genre": str(picture)},
    )


def _write_audio(catalogue: Catalogue, folder: Path) -> int:
    """Writes the MP3s that are not there yet, on every core; returns how many were there.

    Threads suffice: the encoder and numpy's long operations let go of the interpreter's lock.
    """
    _remove_others(folder, {f"{track.uri}.mp3" for track in catalogue.tracks})
    missing = [track for track in catalogue.tracks if not (folder / f"{track.uri}.mp3").exists()]

    def write(track: DemoTrack) -> Path:
        return write_mp3(track, folder / f"{track.uri}.mp3")

    with ThreadPoolExecutor(os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count()) as pool:
        for _ in progressing(pool.map(write, missing), len(missing), "track", "demo_world"):
            pass
    return len(catalogue.tracks) - len(missing)


def _remove_others(folder: Path, names: set[str]) -> None:
    """Removes what another world, or a killed run, left in a folder that is this step's own."""
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()


def _truth(
    config: WorldConfig, catalogue: Catalogue, playlists: list[Collection], listeners: list[Collection]
) -> dict[str, Any]:
    return {
        "config": asdict(config),
        "genres": GENRES,
        "moods": MOODS,
        "scene_of_cell": catalogue.scene_of_cell,
        "tracks": {
            track.uri: {
                "genre": GENRES[track.genre],
                "mood": MOODS[track.mood],
                "scene": track.scene,
                "artist": track.artist_index,
                "album": track.album_index,
            }
            for track in catalogue.tracks
        },
        "playlists": [{"scenes": p.scenes, "num_outliers": p.num_outliers} for p in playlists],
        "listeners": [{"scenes": p.scenes, "num_outliers": p.num_outliers} for p in listeners],
    }


def _examples(catalogue: Catalogue) -> list[dict[str, Any]]:
    step = max(len(catalogue.tracks) // NUM_EXAMPLES, 1)
    return [
        {
            "track": track.name,
            "artist": track.artist.name,
            "album": track.album.name,
            "genre": GENRES[track.genre],
            "mood": MOODS[track.mood],
            "seconds": duration_ms(track) / 1000,
        }
        for track in catalogue.tracks[::step][:NUM_EXAMPLES]
    ]
