"""Acquisition end to end: real yt-dlp over loopback, one row a track, nothing fetched twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from audio_files import job_of, write_tracks

from larp_core.audio import acquire
from larp_core.audio.acquire import acquire_audio
from larp_core.audio.ledger import read_entries
from larp_core.audio.names import safe_file_name
from larp_core.audio.server import AudioServer
from larp_core.files import hash_file
from larp_core.recipes import recipe_named
from larp_core.settings import Settings
from larp_core.steps import Job, step_named

URIS = [f"{i:022d}" for i in range(6)]


@pytest.fixture
def requested(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that any server of the test is asked for."""
    paths: list[str] = []
    original = AudioServer.__init__

    def remember(self: AudioServer, folder: Path) -> None:
        original(self, folder)
        self.requested = paths

    monkeypatch.setattr(AudioServer, "__init__", remember)
    return paths


@pytest.fixture
def demo(tmp_path: Path, mp3_of: Callable[[float], Path]) -> Job:
    """Tracks 0 to 3 have a file in the demo world; that of 4 is no audio, and 5 has none."""
    job = job_of("mp3", tmp_path / "data")
    audio = job.settings.shared.demo_world / "audio"
    audio.mkdir(parents=True)
    for uri in URIS[:4]:
        shutil.copy(mp3_of(3.0), audio / f"{uri}.mp3")
    (audio / f"{URIS[4]}.mp3").write_bytes(b"nothing to hear\n" * 100)
    write_tracks(job, URIS)
    return job


def statuses(job: Job) -> list[str]:
    return pl.read_parquet(job.paths.ledger)["status"].to_list()


def test_every_track_gets_a_row_and_the_good_ones_a_file(demo: Job, requested: list[str]) -> None:
    report = acquire_audio(demo)
    entries = read_entries(demo.paths.ledger)
    assert statuses(demo) == ["ok"] * 4 + ["corrupt", "not_found"]
    assert list(entries) == list(range(6))
    for track_id in range(4):
        entry, uri = entries[track_id], URIS[track_id]
        path = demo.settings.data_dir / entry.path
        assert path == demo.settings.shared.audio / uri[:2] / f"{uri}.mp3"
        assert hash_file(path) == entry.sha256
        assert entry.duration_seconds == pytest.approx(3.0, abs=0.06)
        assert (entry.source, entry.attempts, entry.decoder) == ("yt-dlp", 1, "libsndfile")
    assert entries[4].detail
    assert "404" in entries[5].detail
    assert report.num_rows == 6
    assert (report.facts["num_ok"], report.facts["num_not_found"], report.facts["num_corrupt"]) == (4, 1, 1)
    [table] = report.tables.values()
    assert {row["track_uri"]: row["status"] for row in table} == {URIS[4]: "corrupt", URIS[5]: "not_found"}
    kept = [path for path in demo.settings.shared.audio.rglob("*") if path.is_file()]
    assert len(kept) == 4  # neither partial downloads nor what was no audio


def test_a_second_run_asks_for_nothing_and_leaves_the_same_bytes(demo: Job, requested: list[str]) -> None:
    acquire_audio(demo)
    before, num_requests = demo.paths.ledger.read_bytes(), len(requested)
    assert acquire_audio(demo).facts["looked_up_now"] == 0
    assert len(requested) == num_requests
    assert demo.paths.ledger.read_bytes() == before


def test_a_lost_ledger_and_another_dataset_find_files_in_the_store(demo: Job, requested: list[str]) -> None:
    acquire_audio(demo)
    demo.paths.ledger.unlink()  # as after kill -9 before the first save
    requested.clear()
    acquire_audio(demo)
    assert {name.split(".")[0] for name in requested} == set(URIS[4:])
    assert {entry.source for entry in read_entries(demo.paths.ledger).values() if entry.status == "ok"} == {"store"}

    settings = Settings(demo.settings.data_dir, demo.recipe, ("mpd", "lfm"))
    lfm = Job(step_named("mp3"), settings, "lfm")
    write_tracks(lfm, URIS[2:4] + URIS[:2])
    requested.clear()
    acquire_audio(lfm)
    assert requested == []
    assert statuses(lfm) == ["ok"] * 4
    assert read_entries(lfm.paths.ledger)[0].sha256 == read_entries(demo.paths.ledger)[2].sha256


def test_a_deleted_file_and_errors_are_fetched_again(demo: Job, requested: list[str]) -> None:
    acquire_audio(demo)
    (demo.settings.data_dir / read_entries(demo.paths.ledger)[1].path).unlink()
    ledger = acquire.Ledger(demo.paths.ledger)
    ledger.record(acquire.Entry(3, "rate_limited", "yt-dlp", attempts=1))
    ledger.save()
    (demo.settings.shared.audio / URIS[3][:2] / f"{URIS[3]}.mp3").unlink()
    requested.clear()
    acquire_audio(demo)
    assert {name.split(".")[0] for name in requested} == {URIS[1], URIS[3]}
    assert read_entries(demo.paths.ledger)[3].attempts == 2
    assert statuses(demo) == ["ok"] * 4 + ["corrupt", "not_found"]


def test_the_datasets_go_through_the_same_tracks_in_different_orders() -> None:
    tracks = [acquire.Track(i, uri) for i, uri in enumerate(URIS)]
    mpd, lfm = (acquire._shuffled(tracks, dataset) for dataset in ("mpd", "lfm"))
    assert sorted(mpd, key=lambda track: track.track_id) == tracks
    assert mpd != lfm
    assert mpd == acquire._shuffled(tracks[::-1], "mpd")


def test_a_local_folder_is_used_in_place(tmp_path: Path, mp3_of: Callable[[float], Path], requested: list[str]) -> None:
    music = tmp_path / "music"
    music.mkdir()
    shutil.copy(mp3_of(3.0), music / f"{URIS[0]}.mp3")
    shutil.copy(mp3_of(12.0), music / "song.mp3")
    (music / "broken.mp3").write_text("hello")
    (music / "mapping.csv").write_text("track_uri,file\nlfm:1,song.mp3\nlfm:2,song.mp3\nlfm:3,broken.mp3\n")
    job = job_of("mp3", tmp_path / "data", mpd_dir=tmp_path, audio_dir=music)
    write_tracks(job, [URIS[0], "lfm:1", "lfm:2", "lfm:3", "lfm:4"])
    acquire_audio(job)
    entries = read_entries(job.paths.ledger)
    assert statuses(job) == ["ok", "ok", "ok", "corrupt", "not_found"]
    assert entries[1].path == entries[2].path == str(music / "song.mp3")
    assert {entry.attempts for entry in entries.values()} == {0}
    assert requested == []
    assert not [path for path in job.settings.shared.audio.rglob("*") if path.is_file()]

    before = job.paths.ledger.read_bytes()
    acquire_audio(job)
    assert job.paths.ledger.read_bytes() == before
    shutil.copy(mp3_of(12.0), music / f"{URIS[0]}.mp3")
    shutil.copy(mp3_of(3.0), music / "lfm:4.mp3")
    acquire_audio(job)
    entries = read_entries(job.paths.ledger)
    assert entries[0].duration_seconds == pytest.approx(12.0, abs=0.06)
    assert statuses(job) == ["ok", "ok", "ok", "corrupt", "ok"]


def test_real_data_without_a_source_says_what_to_set(tmp_path: Path) -> None:
    job = job_of("mp3", tmp_path / "data", mpd_dir=tmp_path)
    write_tracks(job, URIS)
    report = acquire_audio(job)
    assert set(statuses(job)) == {"not_found"}
    assert all("LARP_AUDIO_DIR" in entry.detail for entry in read_entries(job.paths.ledger).values())
    assert report.facts["num_not_found"] == 6


def test_no_tracks_make_an_empty_ledger(tmp_path: Path) -> None:
    job = job_of("mp3", tmp_path / "data", mpd_dir=tmp_path)
    write_tracks(job, [])
    assert acquire_audio(job).num_rows == 0
    assert read_entries(job.paths.ledger) == {}


def test_tracks_that_left_the_split_leave_the_ledger(demo: Job) -> None:
    acquire_audio(demo)
    pl.DataFrame({"track_id": pl.Series([0, 5], dtype=pl.Int32)}).write_parquet(demo.paths.split_tracks)
    acquire_audio(demo)
    assert list(read_entries(demo.paths.ledger)) == [0, 5]


def test_many_tracks_are_shared_by_processes(tmp_path: Path, mp3_of: Callable[[float], Path]) -> None:
    uris = [f"lfm:{i}" for i in range(60)]
    job = Job(step_named("mp3"), Settings(tmp_path / "data", recipe_named("smoke"), ("mpd",)), "mpd")
    audio = job.settings.shared.demo_world / "audio"
    audio.mkdir(parents=True)
    for uri in uris[:50]:
        shutil.copy(mp3_of(1.0), audio / f"{safe_file_name(uri)}.mp3")
    write_tracks(job, uris)
    acquire_audio(job)
    assert statuses(job) == ["ok"] * 50 + ["not_found"] * 10
    assert len({entry.path for entry in read_entries(job.paths.ledger).values() if entry.path}) == 50
