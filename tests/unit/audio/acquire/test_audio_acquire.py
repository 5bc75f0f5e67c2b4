"""Acquisition end to end: real yt-dlp over loopback, one row a track, nothing fetched twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from audio_files import chirp, job_of, write_audio, write_tracks

from larp_core.audio.acquire import acquisition
from larp_core.audio.acquire.ledger import read_entries
from larp_core.audio.acquire.server import AudioServer
from larp_core.audio.names import safe_file_name
from larp_core.config.recipes import recipe_named
from larp_core.config.settings import Settings
from larp_core.graph import memo
from larp_core.graph.job import Job
from larp_core.graph.registry import job_named
from larp_core.runtime import workers
from larp_core.runtime.files import hash_file, write_json

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


def demo_file(job: Job, uri: str) -> Path:
    return job.settings.shared.demo_world / "audio" / f"{safe_file_name(uri)}.mp3"


def statuses(job: Job) -> list[str]:
    return pl.read_parquet(job.paths.ledger)["status"].to_list()


def test_every_track_gets_a_row_and_the_good_ones_a_file(demo: Job, requested: list[str]) -> None:
    report = demo.work()
    entries = read_entries(demo.paths.ledger)
    assert statuses(demo) == ["ok"] * 4 + ["corrupt", "not_found"]
    assert [(entry.track_id, uri) for uri, entry in entries.items()] == list(enumerate(URIS))
    for uri in URIS[:4]:
        entry = entries[uri]
        path = demo.settings.data_dir / entry.path
        assert path == demo.settings.shared.audio / uri[:2] / f"{uri}.mp3"
        assert hash_file(path) == entry.sha256
        assert entry.duration_seconds == pytest.approx(3.0, abs=0.06)
        assert (entry.source, entry.attempts, entry.decoder) == ("yt-dlp", 1, "libsndfile")
    assert entries[URIS[4]].detail
    assert "404" in entries[URIS[5]].detail
    assert report.num_rows == 6
    assert (report.facts["num_ok"], report.facts["num_not_found"], report.facts["num_corrupt"]) == (4, 1, 1)
    coverage, table = report.tables.values()
    [train] = coverage
    assert (train["split"], train["tracks"], train["with audio"], train["corrupt"]) == ("train", 6, 4, 1)
    assert {row["track_uri"]: row["status"] for row in table} == {URIS[4]: "corrupt", URIS[5]: "not_found"}
    kept = [path for path in demo.settings.shared.audio.rglob("*") if path.is_file()]
    assert len(kept) == 4  # neither partial downloads nor what was no audio


def test_a_second_run_asks_for_nothing_and_leaves_the_same_bytes(demo: Job, requested: list[str]) -> None:
    demo.work()
    before, num_requests = demo.paths.ledger.read_bytes(), len(requested)
    assert demo.work().facts["looked_up_now"] == 0
    assert len(requested) == num_requests
    assert demo.paths.ledger.read_bytes() == before


def test_a_lost_ledger_and_another_dataset_find_files_in_the_store(demo: Job, requested: list[str]) -> None:
    demo.work()
    demo.paths.ledger.unlink()  # as after kill -9 before the first save
    requested.clear()
    demo.work()
    assert {name.split(".")[0] for name in requested} == set(URIS[4:])
    assert {entry.source for entry in read_entries(demo.paths.ledger).values() if entry.status == "ok"} == {"store"}

    settings = Settings(demo.settings.data_dir, demo.recipe, ("mpd", "lfm"))
    lfm = job_named("mp3", settings, "lfm")
    write_tracks(lfm, URIS[2:4] + URIS[:2])
    requested.clear()
    lfm.work()
    assert requested == []
    assert statuses(lfm) == ["ok"] * 4
    assert read_entries(lfm.paths.ledger)[URIS[2]].sha256 == read_entries(demo.paths.ledger)[URIS[2]].sha256


def test_the_ledger_follows_the_uri_where_tracks_are_numbered_anew(demo: Job, requested: list[str]) -> None:
    """The playlists have changed: the same tracks have other ids, one has left, and one that has come is in no store.

    Each file is of another length, so that one that went to the wrong track would show.
    """
    for index, uri in enumerate(URIS[:4]):
        write_audio(demo_file(demo, uri), chirp(1.0 + index, 16_000, 1), 16_000)
    demo.work()
    before = read_entries(demo.paths.ledger)
    requested.clear()
    renumbered = ["new", *URIS[:0:-1]]
    write_tracks(demo, renumbered)
    assert demo.work().facts["looked_up_now"] == 1
    assert {name.split(".")[0] for name in requested} == {safe_file_name("new")}
    after = read_entries(demo.paths.ledger)
    assert [(entry.track_id, uri) for uri, entry in after.items()] == list(enumerate(renumbered))
    assert after.pop("new").status == "not_found"
    assert after == {uri: replace(before[uri], track_id=renumbered.index(uri)) for uri in renumbered[1:]}
    for index, uri in enumerate(URIS[1:4], start=1):
        assert after[uri].duration_seconds == pytest.approx(1.0 + index, abs=0.15)


def test_a_lost_file_of_the_store_makes_the_finished_step_run_again(demo: Job, requested: list[str]) -> None:
    for parent in demo.upstream():
        write_json({"digest": "made before"}, parent.stamp)
    assert not memo.run(demo).reused
    assert memo.run(demo).reused
    lost = demo.settings.data_dir / read_entries(demo.paths.ledger)[URIS[0]].path
    lost.unlink()
    requested.clear()
    assert not memo.run(demo).reused
    assert {name.split(".")[0] for name in requested} == {URIS[0]}
    assert lost.exists()
    assert memo.run(demo).reused


def test_a_deleted_file_and_errors_are_fetched_again(demo: Job, requested: list[str]) -> None:
    demo.work()
    (demo.settings.data_dir / read_entries(demo.paths.ledger)[URIS[1]].path).unlink()
    ledger = acquisition.Ledger(demo.paths.ledger)
    ledger.record(acquisition.Entry(3, URIS[3], "rate_limited", "yt-dlp", attempts=1))
    ledger.save()
    (demo.settings.shared.audio / URIS[3][:2] / f"{URIS[3]}.mp3").unlink()
    requested.clear()
    demo.work()
    assert {name.split(".")[0] for name in requested} == {URIS[1], URIS[3]}
    assert read_entries(demo.paths.ledger)[URIS[3]].attempts == 2
    assert statuses(demo) == ["ok"] * 4 + ["corrupt", "not_found"]


def test_the_datasets_go_through_the_same_tracks_in_different_orders() -> None:
    tracks = [acquisition.Track(i, uri) for i, uri in enumerate(URIS)]
    mpd, lfm = (acquisition._shuffled(tracks, dataset) for dataset in ("mpd", "lfm"))
    assert sorted(mpd, key=lambda track: track.track_id) == tracks
    assert mpd != lfm
    assert mpd == acquisition._shuffled(tracks[::-1], "mpd")


def test_a_local_folder_is_used_in_place(tmp_path: Path, mp3_of: Callable[[float], Path], requested: list[str]) -> None:
    music = tmp_path / "music"
    music.mkdir()
    shutil.copy(mp3_of(3.0), music / f"{URIS[0]}.mp3")
    shutil.copy(mp3_of(12.0), music / "song.mp3")
    (music / "broken.mp3").write_text("hello")
    (music / "mapping.csv").write_text("track_uri,file\nlfm:1,song.mp3\nlfm:2,song.mp3\nlfm:3,broken.mp3\n")
    job = job_of("mp3", tmp_path / "data", mpd_dir=tmp_path, audio_dir=music)
    write_tracks(job, [URIS[0], "lfm:1", "lfm:2", "lfm:3", "lfm:4"])
    job.work()
    entries = read_entries(job.paths.ledger)
    assert statuses(job) == ["ok", "ok", "ok", "corrupt", "not_found"]
    assert entries["lfm:1"].path == entries["lfm:2"].path == str(music / "song.mp3")
    assert {entry.attempts for entry in entries.values()} == {0}
    assert requested == []
    assert not [path for path in job.settings.shared.audio.rglob("*") if path.is_file()]

    before = job.paths.ledger.read_bytes()
    job.work()
    assert job.paths.ledger.read_bytes() == before
    shutil.copy(mp3_of(12.0), music / f"{URIS[0]}.mp3")
    shutil.copy(mp3_of(3.0), music / "lfm:4.mp3")
    job.work()
    entries = read_entries(job.paths.ledger)
    assert entries[URIS[0]].duration_seconds == pytest.approx(12.0, abs=0.06)
    assert statuses(job) == ["ok", "ok", "ok", "corrupt", "ok"]


def test_real_data_without_a_source_says_what_to_set(tmp_path: Path) -> None:
    job = job_of("mp3", tmp_path / "data", mpd_dir=tmp_path)
    write_tracks(job, URIS)
    report = job.work()
    assert set(statuses(job)) == {"not_found"}
    assert all("LARP_AUDIO_DIR" in entry.detail for entry in read_entries(job.paths.ledger).values())
    assert report.facts["num_not_found"] == 6


def test_no_tracks_make_an_empty_ledger(tmp_path: Path) -> None:
    job = job_of("mp3", tmp_path / "data", mpd_dir=tmp_path)
    write_tracks(job, [])
    assert job.work().num_rows == 0
    assert read_entries(job.paths.ledger) == {}


def test_tracks_that_left_the_split_leave_the_ledger(demo: Job) -> None:
    demo.work()
    metadata = pl.read_parquet(demo.paths.metadata)
    metadata.filter(pl.col("track_id").is_in([0, 5])).write_parquet(demo.paths.metadata)
    demo.work()
    assert list(read_entries(demo.paths.ledger)) == [URIS[0], URIS[5]]


def test_many_tracks_are_shared_by_processes(
    tmp_path: Path, mp3_of: Callable[[float], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "ITEMS_PER_PROCESS", 6)
    uris = [f"lfm:{i}" for i in range(12)]
    job = job_named("mp3", Settings(tmp_path / "data", recipe_named("smoke"), ("mpd",)), "mpd")
    (job.settings.shared.demo_world / "audio").mkdir(parents=True)
    for uri in uris[:10]:
        shutil.copy(mp3_of(3.0), demo_file(job, uri))
    write_tracks(job, uris)
    job.work()
    assert statuses(job) == ["ok"] * 10 + ["not_found"] * 2
    assert len({entry.path for entry in read_entries(job.paths.ledger).values() if entry.path}) == 10
