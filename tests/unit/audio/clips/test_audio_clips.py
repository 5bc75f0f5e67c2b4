"""Clips: exactly 480,000 samples of the right ten seconds, a typed reason where there is none, no clip cut twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
import soxr
from audio_files import chirp, clip_rows, job_of, write_tracks

from larp_core.audio.acquire.acquisition import acquire_audio
from larp_core.audio.acquire.ledger import Entry, Ledger, read_entries
from larp_core.audio.clips import factory as clips_module
from larp_core.audio.clips.cutting import CUTTER_VERSION
from larp_core.audio.clips.factory import SCHEMA
from larp_core.config import ClipConfig
from larp_core.graph import memo
from larp_core.graph.job import Job
from larp_core.runtime import workers
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import hash_file, write_json
from larp_core.runtime.report import Report

URIS = ["long", "middle", "exact", "short", "gone"]
CONFIG = ClipConfig()


def clips_job(folder: Path) -> Job:
    """The audio lies in the data folder, so that the ledger's paths hold in a copy of it."""
    return job_of("clips", folder / "data", mpd_dir=folder, audio_dir=folder / "data" / "music")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, mp3_of: Callable[[float], Path]) -> tuple[Job, Report]:
    """Tracks of 52, 12, just 10 and 9 s, and one whose file vanished after acquisition; to be left as it is."""
    job = clips_job(tmp_path_factory.mktemp("built"))
    music = job.settings.audio_dir
    music.mkdir(parents=True)
    for uri, seconds in (("long", 52.0), ("middle", 12.0), ("short", 9.0), ("gone", 12.0)):
        (music / f"{uri}.mp3").write_bytes(mp3_of(seconds).read_bytes())
    soundfile.write(music / "exact.wav", chirp(10.0, rate_hz=8_000).T, 8_000)
    write_tracks(job, [*URIS, "without audio"])
    acquire_audio(job.settings, job.dataset)
    (music / "gone.mp3").unlink()
    return job, job.work()


@pytest.fixture
def job(built: tuple[Job, Report], tmp_path: Path) -> Job:
    """A copy of `built`, clips and all, to be changed."""
    shutil.copytree(built[0].settings.data_dir, tmp_path / "data")
    return clips_job(tmp_path)


def test_every_acquired_track_gets_a_clip_or_a_reason(built: tuple[Job, Report]) -> None:
    job, report = built
    rows = clip_rows(job)
    assert pl.read_parquet(job.paths.clips).schema == pl.Schema(SCHEMA)
    assert {uri: row["status"] for uri, row in rows.items()} == {
        "long": "ok",
        "middle": "ok",
        "exact": "ok",
        "short": "too_short",
        "gone": "error",
    }
    for uri in ("long", "middle", "exact"):
        path = job.paths.root / rows[uri]["path"]
        info = soundfile.info(path)
        assert (info.frames, info.samplerate, info.channels, info.subtype) == (480_000, 48_000, 1, "PCM_16")
        assert hash_file(path) == rows[uri]["sha256"]
        assert path == job.paths.clips_dir / uri[:2] / f"{uri}.flac"
    assert 20 <= rows["long"]["start_seconds"] <= 22.1
    assert rows["exact"]["start_seconds"] == 0
    assert "10 s" in rows["short"]["detail"]
    assert rows["gone"]["path"] is None
    assert rows["gone"]["detail"] == "gone.mp3 is gone; materialize mp3 again, then clips"
    assert (report.num_rows, report.facts["num_ok"], report.facts["num_too_short"]) == (3, 3, 1)
    assert Path(report.pictures["spectrograms"]).read_bytes().startswith(b"\x89PNG")
    noted = report.tables["without a clip, or with a flaw (first 20)"]
    assert {row["track_uri"] for row in noted} == {"short", "gone"}


def test_the_clip_is_those_ten_seconds_of_the_source(built: tuple[Job, Report]) -> None:
    """Against the slow, obvious way: decode all, cut, resample."""
    job, _ = built
    for uri, source in (("long", "long.mp3"), ("middle", "middle.mp3")):
        row = clip_rows(job)[uri]
        samples, rate_hz = soundfile.read(job.settings.audio_dir / source, dtype="float32", always_2d=True)
        start = round(row["start_seconds"] * rate_hz)
        expected = soxr.resample(samples[start : start + 10 * rate_hz].mean(axis=1), rate_hz, 48_000, quality="HQ")
        clip = soundfile.read(job.paths.root / row["path"], dtype="float32")[0]
        np.testing.assert_allclose(clip, expected, atol=1 / 32_000)


def test_a_second_run_cuts_nothing_and_leaves_the_same_bytes(job: Job) -> None:
    before = job.paths.clips.read_bytes()
    times = {path: path.stat().st_mtime_ns for path in job.paths.clips_dir.rglob("*.flac")}
    report = job.work()
    assert report.facts["num_cut_now"] == 1  # the one that can't be cut is tried again
    assert job.paths.clips.read_bytes() == before
    assert {path: path.stat().st_mtime_ns for path in job.paths.clips_dir.rglob("*.flac")} == times


def test_a_run_from_nothing_gives_the_same_bytes(job: Job) -> None:
    before = job.paths.clips.read_bytes()
    job.paths.clips.unlink()
    (job.paths.clips_dir / "lo" / "long.flac").unlink()
    assert job.work().facts["num_cut_now"] == 4
    assert job.paths.clips.read_bytes() == before


@pytest.mark.parametrize("change", ["file deleted", "source changed", "seed changed", "cutter changed"])
def test_what_has_changed_is_cut_again(
    job: Job, change: str, mp3_of: Callable[[float], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = clip_rows(job)["long"]
    if change == "file deleted":
        (job.paths.root / before["path"]).unlink()
    elif change == "source changed":
        shutil.copy(mp3_of(12.0), job.settings.audio_dir / "long.mp3")
        acquire_audio(job.settings, job.dataset)
    elif change == "cutter changed":
        monkeypatch.setattr(clips_module, "CUTTER_VERSION", CUTTER_VERSION + 1)
    else:
        recipe = replace(job.recipe, clip=replace(job.recipe.clip, seed=1))
        job = replace(job, settings=replace(job.settings, recipe=recipe))
    job.work()
    after = clip_rows(job)["long"]
    assert after["status"] == "ok"
    assert (job.paths.root / after["path"]).exists()
    assert (after["sha256"] == before["sha256"]) == (change in ("file deleted", "cutter changed"))


def test_clips_follow_the_uri_where_tracks_are_numbered_anew(job: Job) -> None:
    """The playlists have changed: every track has another id, and one has come that pushes the others on."""
    before = clip_rows(job)
    files = {path: path.stat().st_mtime_ns for path in job.paths.clips_dir.rglob("*.flac")}
    renumbered = ["new", "without audio", *URIS[::-1]]
    write_tracks(job, renumbered)
    acquire_audio(job.settings, job.dataset)
    report = job.work()
    assert report.facts["num_cut_now"] == 0
    assert {path: path.stat().st_mtime_ns for path in job.paths.clips_dir.rglob("*.flac")} == files
    ids = {"track_id": None}
    after = clip_rows(job)
    assert {uri: row["track_id"] for uri, row in after.items()} == {
        uri: renumbered.index(uri) for uri in ("short", "exact", "middle", "long")
    }
    del before["gone"]  # acquisition has seen that its file is no longer there
    assert {uri: row | ids for uri, row in after.items()} == {uri: row | ids for uri, row in before.items()}


def test_a_clip_or_a_source_that_is_gone_makes_the_finished_step_run_again(
    job: Job, mp3_of: Callable[[float], Path]
) -> None:
    for parent in job.upstream():
        write_json({"digest": "made before"}, parent.stamp)
    memo.run(job)
    assert memo.finished(job) is None  # the source of one is gone
    shutil.copy(mp3_of(12.0), job.settings.audio_dir / "gone.mp3")
    assert memo.run(job).report.facts["num_ok"] == 4
    assert memo.run(job).reused
    lost = job.paths.root / clip_rows(job)["middle"]["path"]
    lost.unlink()
    again = memo.run(job)
    assert (again.reused, again.report.facts["num_cut_now"], lost.exists()) == (False, 1, True)
    assert memo.run(job).reused


def test_no_audio_at_all_is_a_table_without_rows(tmp_path: Path) -> None:
    job = job_of("clips", tmp_path / "data", mpd_dir=tmp_path)
    write_tracks(job, ["a", "b"])
    acquire_audio(job.settings, job.dataset)
    report = job.work()
    assert (report.num_rows, report.pictures) == (0, {})
    assert pl.read_parquet(job.paths.clips).schema == pl.Schema(SCHEMA)


def test_silence_and_clipping_are_flagged_and_rubbish_is_corrupt(tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    rate_hz = 16_000
    loud = np.clip(3 * chirp(11.0, rate_hz, channels=1)[0], -1, 1)
    broken = loud.copy()
    broken[40_000:120_000] = np.nan
    for name, samples in (("silent", 0 * loud), ("loud", loud), ("fine", loud / 4), ("broken", broken)):
        soundfile.write(music / f"{name}.wav", samples, rate_hz, subtype="FLOAT")
    job = job_of("clips", tmp_path / "data", mpd_dir=tmp_path, audio_dir=music)
    write_tracks(job, ["silent", "loud", "fine", "broken"])
    acquire_audio(job.settings, job.dataset)
    job.work()
    rows = clip_rows(job)
    assert {uri: row["status"] for uri, row in rows.items()} == {
        "silent": "ok",
        "loud": "ok",
        "fine": "ok",
        "broken": "corrupt",
    }
    assert (rows["silent"]["detail"], rows["fine"]["detail"]) == ("silent", "")
    assert rows["loud"]["detail"].startswith("clipped")


def test_every_odd_file_ends_as_a_clip_or_a_reason(
    sample_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "ITEMS_PER_PROCESS", 1_000)  # starting processes would take most of the test
    files = sorted((sample_data / "audio_odd").iterdir()) + sorted((sample_data / "audio").glob("l*"))
    music = tmp_path / "music"
    music.mkdir()
    rows = "".join(f'odd:{i},"{path}"\n' for i, path in enumerate(files))
    (music / "mapping.csv").write_text("track_uri,file\n" + rows)
    job = job_of("clips", tmp_path / "data", mpd_dir=tmp_path, audio_dir=music)
    write_tracks(job, [f"odd:{i}" for i in range(len(files))])
    acquire_audio(job.settings, job.dataset)
    job.work()
    entries = read_entries(job.paths.ledger)
    got = {entry.track_id for entry in entries.values() if entry.status == "ok"}
    assert len(entries) == len(files)
    assert {entry.status for entry in entries.values()} == {"ok", "corrupt"}
    assert all(entry.detail for entry in entries.values() if entry.status != "ok")
    clips = pl.read_parquet(job.paths.clips)
    assert set(clips["track_id"]) == got
    assert set(clips["status"]) == {"ok", "too_short"}
    for path in clips["path"].drop_nulls():
        assert soundfile.info(job.paths.root / path).frames == 480_000
    assert (clips["status"] == "ok").sum() >= 12


def test_the_papers_lists_say_where_a_clip_begins(job: Job, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "mpd_valid.csv").write_text("track_uri,start,end\nlong,3.5,13.5\n")
    (lists / "mpd_test.csv").write_text("track_uri,start,end\nspotify:track:exact,1,11\n")
    before = clip_rows(job)
    recipe = replace(job.recipe, clip=ClipConfig(offsets="paper_lists"))
    listed = replace(job, settings=replace(job.settings, recipe=recipe, paper_lists_dir=lists))
    assert listed.step.external(listed) == [lists]
    assert listed.step.external(job) == []
    report = listed.work()
    after = clip_rows(listed)
    assert after["long"]["start_seconds"] == 3.5
    assert after["middle"] == before["middle"]  # in no list: as without lists
    assert (after["exact"]["status"], after["exact"]["path"]) == ("too_short", None)
    assert after["exact"]["detail"] == "10.00 s of sound, the listed clip begins at 1 s"
    assert report.facts["num_not_in_paper_lists"] == 3  # middle, short, gone
    samples, rate_hz = soundfile.read(job.settings.audio_dir / "long.mp3", dtype="float32")
    window = samples[round(3.5 * rate_hz) :][: 10 * rate_hz]
    clip = soundfile.read(job.paths.root / after["long"]["path"], dtype="float32")[0]
    np.testing.assert_allclose(clip, soxr.resample(window, rate_hz, 48_000, quality="HQ"), atol=1 / 32_000)
    with pytest.raises(UserError, match="LARP_PAPER_LISTS_DIR is not set"):
        replace(listed, settings=replace(listed.settings, paper_lists_dir=None)).work()


def test_the_report_tells_coverage_and_where_clips_lie(built: tuple[Job, Report]) -> None:
    report = built[1]
    (row,) = report.tables["coverage"]
    assert row == {
        "split": "train",
        "tracks": 6,
        "with a clip": 3,
        "share": 0.5,
        "error": 1,
        "not_found": 1,
        "too_short": 1,
    }
    assert {row["track_uri"] for row in report.tables["clips to play"]} == {"long", "middle", "exact"}
    assert all(soundfile.info(row["file"]).frames == 480_000 for row in report.tables["clips to play"])
    assert Path(report.pictures["durations of the audio"]).read_bytes().startswith(b"\x89PNG")


def test_tracks_whose_audio_was_not_got_have_no_clip(job: Job) -> None:
    ledger = Ledger(job.paths.ledger)
    ledger.record(Entry(0, "long", "removed", "yt-dlp"))
    ledger.save()
    job.work()
    assert "long" not in clip_rows(job)
