"""Spotify's id, secret and token: in no log, metadata, run config, file, command line or output of a run."""

import base64
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from data_files import write_lfm
from places import ROOT
from spotify_server import CLIENT_ID, CLIENT_SECRET, SpotifyServer, basic, spotify_id, spotify_server

from assets.factory import asset_of
from assets.launch import command_of
from larp_core.config.environment import settings_from
from larp_core.doctor import examine
from larp_core.graph.job import Job
from larp_core.graph.registry import jobs_of
from pipeline.resources import resources_of

STEPS = ("source", "playlists", "cold_start_split", "metadata", "captions")
RUN = """
import sys
from larp_core.data.spotify import client
client.API_URL, client.TOKEN_URL = sys.argv[1] + "/v1/", sys.argv[1] + "/api/token"
from larp_core.__main__ import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture
def server() -> Iterator[SpotifyServer]:
    with spotify_server() as running:
        yield running


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """LFM-2b in small: 60 listeners of 40 of 200 songs each, every song with its uri at Spotify."""
    events = [
        (user, (user * 3 + song) % 200, song % 9, "2020-01-01 00:00:00") for user in range(60) for song in range(40)
    ]
    tracks = [(number, f"Artist {number % 9}", f"Song {number}") for number in range(200)]
    uris = [(number, f"spotify:track:{spotify_id(number)}") for number in range(200)]
    folder = write_lfm(tmp_path / "lfm", events, tracks, uris)
    data = {"LARP_DATA": str(tmp_path / "data"), "LARP_LFM_DIR": str(folder)}
    return data | {"LARP_RECIPE": "smoke", "LARP_SPOTIFY": "1"}


def secrets(server: SpotifyServer) -> list[bytes]:
    pair = f"{CLIENT_ID}:{CLIENT_SECRET}".encode()
    return [word.encode() for word in (CLIENT_ID, CLIENT_SECRET, server.token, basic(CLIENT_ID))] + [
        base64.urlsafe_b64encode(pair),
        pair,
    ]


def assert_secret_free(text: bytes, server: SpotifyServer, where: object) -> None:
    for secret in secrets(server):
        assert secret not in text, where


def jobs_in(environment: dict[str, str]) -> list[Job]:
    return [job for job in jobs_of(settings_from(environment)) if job.step.name in STEPS]


def test_a_run_in_dagster_shows_none(
    tmp_path: Path, server: SpotifyServer, environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.plan(429, Retry_After="1")
    server.plan(401)
    jobs = jobs_in(environment)
    assets = [asset_of(job, group="lfm_ingest") for job in jobs]
    home = tmp_path / "instance"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home), overrides={"telemetry": {"enabled": False}}) as instance:
        done = dg.materialize(assets, resources=resources_of(jobs[0].settings), instance=instance)
        assert done.success
        events = repr([record for record in instance.all_logs(done.run_id)])
        run = repr(instance.get_run_by_id(done.run_id))
    metadata = pl.read_parquet(jobs[0].paths.metadata)
    assert set(metadata["duration_ms_from"]) == {"Spotify"} and len(server.calls) > 2
    for job in jobs:
        assert_secret_free(" ".join(command_of([job])).encode(), server, "command line")
    assert "--spotify True" in " ".join(command_of(jobs[:1]))
    assert_secret_free((events + run + repr(jobs[0].settings)).encode(), server, "events")
    assert_secret_free(caplog.text.encode(), server, "log")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert jobs[0].settings.shared.spotify / "answers.sqlite" in files and len(files) > 15
    for path in files:
        assert_secret_free(path.read_bytes(), server, path)
    assert not (Path.cwd() / ".cache").exists()  # where spotipy leaves tokens of its own accord


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_run_by_hand_shows_none(
    tmp_path: Path, server: SpotifyServer, environment: dict[str, str], is_refused: bool
) -> None:
    server.credentials = "others" if is_refused else server.credentials
    others = {name: value for name, value in os.environ.items() if not name.startswith("LARP_")}
    command = [sys.executable, "-c", RUN, server.url, "run", *STEPS]
    done = subprocess.run(
        command, env=others | environment | {"PYTHONPATH": str(ROOT)}, cwd=tmp_path, capture_output=True, timeout=120
    )
    assert done.returncode == (2 if is_refused else 0), done.stderr
    assert (b"refuses them" in done.stderr) == is_refused
    assert_secret_free(done.stdout + done.stderr, server, "outputs")
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert_secret_free(path.read_bytes(), server, path)


def test_the_doctor_shows_none(server: SpotifyServer, environment: dict[str, str]) -> None:
    findings = examine(settings_from(environment))
    assert any("id and secret are set" in finding.says for finding in findings)
    assert_secret_free(repr(findings).encode(), server, "doctor")
