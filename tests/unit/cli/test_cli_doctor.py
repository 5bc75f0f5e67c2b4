"""The doctor: one line a finding, and each that is not fine says what to do."""

from __future__ import annotations

import os
import shutil
import time
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from larp_core.__main__ import main
from larp_core.config.environment import make_settings
from larp_core.config.settings import Settings
from larp_core.data.spotify.answers import SpotifyAnswers
from larp_core.doctor import Finding, examine
from larp_core.runtime.pacing import Answer, Gate

NETSCAPE = "# Netscape HTTP Cookie File\n"


def settings_of(tmp_path: Path, **options: str) -> Settings:
    return make_settings(data_dir=str(tmp_path / "data"), mpd_dir=str(tmp_path), **options)


def finding(settings: Settings, name: str) -> Finding:
    [found] = [found for found in examine(settings) if found.name == name]
    return found


def test_the_demo_misses_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--data-dir", str(tmp_path / "data")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert lines[-1] == "next: dagster job execute -j ingest"
    assert any("deno 2" in line for line in lines) and any("ffmpeg version" in line for line in lines)


def test_what_is_missing_makes_it_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("{}")
    options = ["--mpd-dir", str(tmp_path), "--audio-sources", "youtube", "--cookies-file", str(cookies)]
    assert main(["doctor", "--data-dir", str(tmp_path / "data"), *options]) == 1
    out = capsys.readouterr().out
    assert "fix cookies: " in out and "export it in that format" in out
    assert main(["doctor", "--data-dir", str(tmp_path / "data"), "--audio-sources", "radio"]) == 2
    assert "unknown source 'radio'; choose from folder, urls, youtube" in capsys.readouterr().err


def test_sources_are_told_in_their_order(tmp_path: Path) -> None:
    urls = tmp_path / "urls.csv"
    urls.write_text("track_uri,url\nx,https://host/x.mp3\n")
    (tmp_path / "x.mp3").touch()
    both = {"audio_dir": str(tmp_path), "audio_urls": str(urls)}
    assert "folder, then urls" in finding(settings_of(tmp_path, **both), "audio sources").says
    some = settings_of(tmp_path, **both, audio_sources="youtube, folder")
    told = finding(some, "audio sources")
    assert not told.is_fine and "LARP_AUDIO_URLS is set and not used" in told.says
    assert finding(settings_of(tmp_path, **both), "urls") == Finding("urls", True, "1 URLs")
    assert finding(settings_of(tmp_path, **both), "folder").says == "1 audio files"
    urls.write_text("track_uri,url\nx,nothing\n")
    assert "none can be used" in finding(settings_of(tmp_path, **both), "urls").says
    urls.write_text("track_uri,url\n,\nx,nothing\ny,https://me:hunter2@host/y.mp3\n")
    told = finding(settings_of(tmp_path, **both), "urls")
    assert not told.is_fine and "hunter2" not in told.says
    assert told.says.startswith(f"1 URLs; 2 rows can't be used and the others can; the first, {urls}, line 2: ")
    (tmp_path / "mapping.csv").write_text("track_uri,file\nx,x.mp3\ny,y.mp3\n")
    told = finding(settings_of(tmp_path, **both), "folder")
    assert not told.is_fine and told.says.startswith("1 audio files; 1 rows can't be used")
    assert "LARP_AUDIO_DIR" in finding(settings_of(tmp_path), "audio sources").says


@pytest.mark.parametrize(("days", "is_fine"), [(1, True), (40, False)])
def test_old_cookies(tmp_path: Path, days: int, is_fine: bool) -> None:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text(NETSCAPE)
    long_ago = time.time() - days * 86_400
    os.utime(cookies, (long_ago, long_ago))
    told = finding(settings_of(tmp_path, cookies_file=str(cookies)), "cookies")
    assert (told.is_fine, told.says.startswith(f"{days} days old")) == (is_fine, True)


def test_a_pause_is_told(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert finding(settings, "pauses").is_fine
    Gate(settings.shared.audio_sources / "youtube.json").heard(Answer("bot_check", detail="not a bot?"), "x")
    told = finding(settings, "pauses")
    assert not told.is_fine and "youtube is paused until" in told.says and "youtube.json" in told.says


def test_the_disk_is_judged_by_the_tracks_without_audio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(tmp_path, audio_sources="youtube")
    paths = settings.paths("mpd")
    assert finding(settings, "disk").says.endswith("; how much mpd may take shows when cold_start_split has been made")
    paths.split_tracks.parent.mkdir(parents=True)
    ids = pl.Series("track_id", range(3), dtype=pl.Int32)
    pl.DataFrame([ids]).write_parquet(paths.split_tracks)
    pl.DataFrame([ids, pl.Series("duration_ms", [1_000_000, None, -5], dtype=pl.Int32)]).write_parquet(paths.tracks)
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(20_000_000))
    told = finding(settings, "disk")
    assert not told.is_fine and "3 tracks" in told.says and "set LARP_DATA to another disk" in told.says
    pl.DataFrame({"track_id": ids[:1], "status": ["ok"]}).write_parquet(paths.ledger)
    told = finding(settings, "disk")
    assert "3 tracks without a clip yet" in told.says and told.is_fine  # there is audio for the first, and no clip
    pl.DataFrame({"track_id": ids[:1], "status": ["ok"]}).write_parquet(paths.clips)
    assert "2 tracks" in finding(settings, "disk").says
    several = replace(settings, datasets=("mpd", "lfm"), lfm_dir=tmp_path)
    assert "2 tracks" in finding(several, "disk").says and "how much lfm may take" in finding(several, "disk").says
    without_audio = finding(settings_of(tmp_path), "disk")
    assert without_audio.is_fine and "tracks" not in without_audio.says


def test_a_fresh_demo_needs_room_for_its_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings(data_dir=str(tmp_path / "data"))
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 30))
    told = finding(settings, "disk")
    assert not told.is_fine and told.says.startswith(
        "1.0 GiB free; the demo world and what is made of it may take 3.1 GiB"
    )
    settings.shared.demo_world.mkdir(parents=True)
    assert finding(settings, "disk").says.endswith(
        "how much mpd and lfm may take shows when cold_start_split has been made"
    )


def test_programs_that_do_not_run_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import deno
    import imageio_ffmpeg

    def gone() -> str:
        return str(tmp_path / "gone")

    monkeypatch.setattr(deno, "find_deno_bin", gone)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", gone)
    told = finding(settings_of(tmp_path, audio_sources="youtube"), "JavaScript runtime")
    assert not told.is_fine and "--force-reinstall deno" in told.says
    assert finding(settings_of(tmp_path), "JavaScript runtime").is_fine
    assert not finding(settings_of(tmp_path), "ffmpeg").is_fine


def test_what_spotify_needs_and_has_said_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPOTIPY_CLIENT_ID", raising=False)
    assert finding(settings_of(tmp_path), "Spotify").says.startswith("off: ")
    settings = settings_of(tmp_path, spotify="1")
    told = finding(settings, "Spotify")
    assert not told.is_fine and "set both, or unset LARP_SPOTIFY" in told.says
    demo = make_settings(data_dir=str(tmp_path / "data"), spotify="1")
    assert finding(demo, "Spotify") == Finding("Spotify", True, "on, and not asked: the demo world has its own names")
    monkeypatch.setenv("SPOTIPY_CLIENT_ID", "me")
    monkeypatch.setenv("SPOTIPY_CLIENT_SECRET", "hush")
    told = finding(settings, "Spotify")
    assert told.is_fine and "terms forbid training" in told.says and "nothing has been asked yet" in told.says
    with SpotifyAnswers(settings.shared.spotify / "answers.sqlite") as answers:
        answers.record({"a": {"name": "A"}, "b": None})
    assert finding(settings, "Spotify").says.endswith("answers kept: 1 not_found, 1 ok")
    Gate(settings.shared.spotify / "spotify.json").heard(Answer("rate_limited", detail="HTTP 429"), "x")
    assert "spotify is paused until" in finding(settings, "pauses").says
    (settings.shared.spotify / "answers.sqlite").write_bytes(b"x" * 2_000)
    assert "delete the file" in finding(settings, "Spotify").says
