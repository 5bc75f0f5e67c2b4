"""Metadata: the dataset's own fields, Spotify's where they are missing and it was turned on, each with its origin."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from places import python_path
from spotify_server import SpotifyServer, spotify_id, spotify_server

from larp_core.audio.acquire.acquisition import _tracks_of
from larp_core.config import SpotifyConfig
from larp_core.config.recipes import recipe_named
from larp_core.config.settings import Settings
from larp_core.data.readers.chunk import TRACK_SCHEMA
from larp_core.graph import memo
from larp_core.graph.job import Job
from larp_core.graph.registry import job_named
from larp_core.runtime.errors import UserError

FAST = SpotifyConfig(seconds_between_calls=0.0, first_pause_seconds=0.05, max_wait_seconds=1.0)
COMPLETE = {
    "track_name": "Mine",
    "artist_uri": "a:1",
    "artist_name": "Me",
    "album_uri": "b:1",
    "album_name": "Ours",
    "duration_ms": 1_000,
}


@pytest.fixture
def server() -> Iterator[SpotifyServer]:
    with spotify_server() as running:
        yield running


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Job]:
    """A job for metadata of these rows, fields of `tracks.parquet` by uri."""

    def write(rows: dict[str, dict[str, Any]], spotify: bool = True, dataset: str = "lfm") -> Job:
        recipe = replace(recipe_named("smoke"), spotify=FAST)
        folders: Any = {f"{dataset}_dir": tmp_path}
        settings = Settings(tmp_path / "data", recipe, (dataset,), spotify=spotify, **folders)
        job = job_named("metadata", settings, dataset)
        tracks = pl.DataFrame([{"track_uri": uri} | fields for uri, fields in rows.items()], schema=TRACK_SCHEMA)
        ids = pl.Series("track_id", range(len(rows)), dtype=pl.Int32)
        job.paths.split_tracks.parent.mkdir(parents=True, exist_ok=True)
        tracks.insert_column(0, ids).write_parquet(job.paths.tracks)
        pl.DataFrame([ids]).with_columns(split=pl.lit("train")).write_parquet(job.paths.split_tracks)
        return job

    return write


def rows_of(job: Job) -> list[dict[str, Any]]:
    return pl.read_parquet(job.paths.metadata).to_dicts()


def lfm_row(number: int) -> dict[str, Any]:
    return {"track_name": f"Song {number}", "artist_name": "Somebody", "album_uri": f"lfm:{number}"}


def test_spotify_is_not_asked_unless_it_is_turned_on(make: Callable[..., Job], server: SpotifyServer) -> None:
    job = make({spotify_id(1): lfm_row(1), "lfm:7": lfm_row(7)}, spotify=False)
    report = job.work()
    assert server.calls == [] and server.num_tokens == 0
    assert not job.settings.shared.spotify.exists()
    assert "spotify_left" not in report.facts and report.facts["missing_duration_ms"] == 2
    first = rows_of(job)[0]
    assert (first["track_name_from"], first["album_name_from"]) == ("LFM-2b files", None)


def test_what_is_missing_is_filled_and_what_is_there_stays(make: Callable[..., Job], server: SpotifyServer) -> None:
    rows = {
        spotify_id(1): lfm_row(1),
        spotify_id(2): lfm_row(2) | {"artist_name": " ", "duration_ms": -5},
        spotify_id(3): COMPLETE,
        spotify_id(999): lfm_row(999),
        "lfm:7": lfm_row(7),
    }
    job = make(rows)
    report = job.work()
    assert server.calls == [[spotify_id(1), spotify_id(2), spotify_id(999)]]
    first, second, complete, unknown, other = rows_of(job)
    expected = {"track_name": "Song 1", "artist_name": "Somebody", "album_name": "Album 1", "duration_ms": 200_001}
    assert {name: first[name] for name in expected} == expected
    origins = {name: first[f"{name}_from"] for name in expected}
    ours, theirs = "LFM-2b files", "Spotify"
    assert origins == {"track_name": ours, "artist_name": ours, "album_name": theirs, "duration_ms": theirs}
    assert (first["album_uri"], first["artist_uri"]) == ("lfm:1", None)  # ids of two catalogues are not mixed
    assert (second["artist_name"], second["artist_name_from"], second["duration_ms"]) == ("First", theirs, 200_002)
    assert {name: complete[name] for name in COMPLETE} == COMPLETE
    assert unknown["duration_ms"] is None and other["album_name"] is None
    table = {row["field"]: row for row in report.tables["where the fields come from"]}
    assert table["duration_ms"] == {"field": "duration_ms", "missing": 2, ours: 1, theirs: 2}
    assert {name: report.facts[f"spotify_{name}"] for name in ("calls_now", "wanted", "found", "left")} == {
        "calls_now": 1,
        "wanted": 3,
        "found": 2,
        "left": 0,
    }
    before = job.paths.metadata.read_bytes()
    assert job.work().facts["spotify_calls_now"] == 0
    assert len(server.calls) == 1 and job.paths.metadata.read_bytes() == before


def test_its_length_is_what_downloads_are_checked_against(make: Callable[..., Job], server: SpotifyServer) -> None:
    job = make({spotify_id(1): lfm_row(1), "lfm:7": lfm_row(7)})
    job.work()
    first, second = _tracks_of(job.paths)
    assert (first.duration_ms, second.duration_ms) == (200_001, None)
    assert first.fits(203.0, 5.0) and not first.fits(210.0, 5.0)


def test_the_step_runs_again_while_tracks_are_left_and_only_then(
    make: Callable[..., Job], server: SpotifyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memo, "upstream_digests", lambda job: {})
    job = make({spotify_id(1): lfm_row(1)})
    server.plan(429, Retry_After="3")
    left = memo.run(job).report
    assert (left.facts["spotify_left"], rows_of(job)[0]["duration_ms"]) == (1, None)
    assert "HTTP 429" in left.facts["spotify_left_because"]
    assert not memo.run(job).reused and len(server.calls) == 1
    gate = job.settings.shared.spotify / "spotify.json"
    gate.write_text(json.dumps(json.loads(gate.read_text()) | {"paused_until": 0.0}))
    assert memo.run(job).report.facts["spotify_left"] == 0
    assert memo.run(job).reused and len(server.calls) == 2
    off = replace(job, settings=replace(job.settings, spotify=False))
    assert not memo.run(off).reused
    assert rows_of(off)[0]["duration_ms"] is None  # what was looked up is used only while it may be


def test_without_credentials_nothing_is_asked(
    make: Callable[..., Job], server: SpotifyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("", "  ", "sécret"):
        monkeypatch.setenv("SPOTIPY_CLIENT_SECRET", value)
        with pytest.raises(UserError, match="LARP_SPOTIFY is set, but SPOTIPY_CLIENT_ID or SPOTIPY_CLIENT_SECRET"):
            make({spotify_id(1): lfm_row(1)}).work()
    assert server.calls == [] and server.num_tokens == 0


def test_real_bodies_are_read(make: Callable[..., Job], server: SpotifyServer, sample_data: Path) -> None:
    folder = sample_data / "spotify"
    several = json.loads((folder / "requests__data__tracks__GetSeveralTracksRequest.json").read_text())["tracks"]
    bodies = [*several, *(json.loads(path.read_text()) for path in sorted(folder.glob("tracks_ID_*.json")))]
    server.catalogue = {body["id"]: body for body in bodies}
    job = make({body["id"]: {"track_name": None} for body in bodies})
    server.batch_status = 403
    job.work()
    assert [len(call) for call in server.calls] == [len(bodies), *[1] * len(bodies)]
    rows = {row["track_uri"]: row for row in rows_of(job)}
    names = ("track_name", "artist_name", "album_name", "duration_ms")
    assert [rows["3n3Ppam7vgaVa1iaRUc9Lp"][name] for name in names] == [
        "Mr. Brightside",
        "The Killers",
        "Hot Fuss (Deluxe Version)",
        222_200,
    ]
    for body in bodies:
        expected = [body["name"], body["artists"][0]["name"], body["album"]["name"], body["duration_ms"]]
        assert [rows[body["id"]][name] for name in names] == expected


def test_real_tokens_and_refusals_are_read(make: Callable[..., Job], server: SpotifyServer, sample_data: Path) -> None:
    folder = sample_data / "spotify" / "requests__authorization__{}.json"
    server.token = json.loads(Path(str(folder).format("client_credentials__ClientCredentials")).read_text())[
        "access_token"
    ]
    job = make({spotify_id(1): lfm_row(1)})
    job.work()
    assert rows_of(job)[0]["duration_ms"] == 200_001
    refused = json.loads(Path(str(folder).format("auth-invalid-client")).read_text())
    server.credentials = "others"
    with pytest.raises(UserError, match=refused["error"]):
        make({spotify_id(2): lfm_row(2)}).work()


KILLER = """
import os, pickle, random, sys, time
import larp_core.data.metadata
from larp_core.data.spotify import answers
from larp_core.data.spotify import client
from larp_core.data.spotify import lookup
from larp_core.graph.registry import job_named

client.API_URL, client.TOKEN_URL = sys.argv[1] + "/v1/", sys.argv[1] + "/api/token"
job = job_named("metadata", pickle.loads(bytes.fromhex(sys.argv[2])), "lfm")
moments = random.Random(3)
for number in range(11):
    child = os.fork()
    if child == 0:
        job.work()
        os._exit(0)
    if number < 10:
        time.sleep(moments.uniform(0.05, 0.4))
        os.kill(child, 9)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def test_runs_killed_at_ten_moments_ask_for_nothing_twice_but_what_was_in_flight(
    make: Callable[..., Job], server: SpotifyServer
) -> None:
    uris = [spotify_id(number) for number in range(150)]
    job = make({uri: lfm_row(number) for number, uri in enumerate(uris)})
    server.batch_status, server.seconds_a_call = 403, 0.01
    words = [sys.executable, "-c", KILLER, server.url, pickle.dumps(job.settings).hex()]
    environment = os.environ | {"PYTHONPATH": python_path()}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    ends = done.stdout.split()
    assert done.returncode == 0 and len(ends) == 11 and ends[-1] == "0", done.stderr[-2000:]
    assert ends.count("9") >= 3, "most runs were over before they were killed"
    assert [row["duration_ms"] for row in rows_of(job)] == [200_000 + number for number in range(150)]
    singles = [call[0] for call in server.calls if len(call) == 1]
    assert set(singles) == set(uris) and len(singles) <= len(uris) + ends.count("9")
    assert server.num_tokens > 1
