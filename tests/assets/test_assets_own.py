"""The dataset `own` from a folder of songs to clips, through real `materialize`: no song is copied or changed."""

import hashlib
from dataclasses import replace
from pathlib import Path

import dagster as dg
import mutagen
import numpy as np
import polars as pl
import pytest
import soundfile
from audio_files import chirp, write_audio

from larp_core.config import SplitConfig
from larp_core.config.recipes import SMOKE
from larp_core.config.settings import Settings
from larp_core.data.readers.own_folder import track_uri
from pipeline.definitions import build_definitions
from pipeline.resources import resources_of

NUM_SONGS = 12
INGEST = ("source", "playlists", "cold_start_split", "metadata", "captions", "mp3", "clips", "interaction_graph")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve songs of 11 s, one of them broken, and six playlists that each name nine."""
    folder = tmp_path_factory.mktemp("own") / "music"
    sound = write_audio(folder / "song.mp3", chirp(11, channels=1)).read_bytes()
    (folder / "song.mp3").unlink()
    for n in range(NUM_SONGS):
        song = folder / f"Artist {n % 3}" / f"{n:02}.mp3"
        song.parent.mkdir(exist_ok=True)
        song.write_bytes(sound)
        audio = mutagen.File(song, easy=True)
        audio["title"], audio["artist"] = f"Song {n}", f"Artist {n % 3}"
        audio.save()
    (folder / "Artist 0" / "00.mp3").write_bytes(b"no audio")
    for first in range(6):
        numbers = [(first + step) % NUM_SONGS for step in range(9)]
        lines = [f"Artist {n % 3}\\{n:02}.mp3" for n in numbers]
        (folder / f"list {first}.m3u").write_bytes("\r\n".join(lines).encode())
    return folder


@pytest.fixture(scope="module")
def made(library: Path) -> Settings:
    split = SplitConfig(playlist_fractions=(0.34, 0.33, 0.33), track_fractions=(0.34, 0.33, 0.33), min_tracks=2, seed=1)
    settings = Settings(
        library.parent / "data",
        replace(SMOKE, split=split, clip=replace(SMOKE.clip, margin_seconds=0.0)),
        ("own",),
        own_dir=library,
    )
    before = fingerprint(library)
    graph = build_definitions(settings)
    selection = dg.AssetSelection.assets(*(["own", name] for name in INGEST))
    assets = [asset for asset in graph.assets or [] if isinstance(asset, dg.AssetsDefinition)]
    done = dg.materialize(assets, resources=resources_of(settings), selection=selection, raise_on_error=False)
    failures = [event.step_failure_data.user_failure_data for event in done.all_events if event.is_step_failure]
    assert done.success, failures
    assert fingerprint(library) == before, "the user's folder is only read"
    return settings


def fingerprint(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_ledger_names_the_files_where_they_lie(made: Settings, library: Path) -> None:
    ledger = pl.read_parquet(made.paths("own").ledger)
    where = {track_uri(path.relative_to(library).as_posix()): path for path in library.rglob("*.mp3")}
    rows = {row["track_uri"]: row for row in ledger.iter_rows(named=True)}
    broken = rows.pop(track_uri("Artist 0/00.mp3"), None)
    assert len(rows) >= 9
    for uri, row in rows.items():
        assert (row["status"], row["source"], row["path"]) == ("ok", "own", str(where[uri]))
        assert row["sha256"] == hashlib.sha256(where[uri].read_bytes()).hexdigest()
    assert broken is None or (broken["status"] == "corrupt" and broken["detail"])
    assert not [path for path in made.shared.audio.rglob("*") if path.is_file()], "nothing is copied to the store"


def test_every_sound_track_has_its_clip_and_caption(made: Settings) -> None:
    paths = made.paths("own")
    clips = pl.read_parquet(paths.clips).filter(status="ok")
    assert set(clips["track_id"]) == set(pl.read_parquet(paths.ledger).filter(status="ok")["track_id"])
    samples, rate_hz = soundfile.read(paths.clips_dir.parent / clips["path"][0])
    assert samples.shape == (480_000,) and rate_hz == 48_000 and float(np.abs(samples).max()) > 0.05
    captions = pl.read_parquet(paths.captions)["caption"].to_list()
    assert any(caption.startswith("The track Song ") and " by Artist " in caption for caption in captions)


def test_every_split_has_playlists(made: Settings) -> None:
    splits = pl.read_parquet(made.paths("own").split_playlists)["split"].unique().to_list()
    assert sorted(splits) == ["test", "train", "valid"]
