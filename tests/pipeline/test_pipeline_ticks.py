"""The schedule and the sensor, by evaluating their ticks."""

import os
import time
from pathlib import Path

import dagster as dg
import pytest

from larp_core.config.environment import make_settings
from larp_core.config.settings import Settings
from larp_core.graph.registry import jobs_of
from pipeline.definitions import build_definitions


def tick(settings: Settings, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    sensor = build_definitions(settings).get_repository_def().get_sensor_def("new_files")
    return sensor(dg.build_sensor_context(cursor=cursor))


def old_file(path: Path, text: str = "x", age_seconds: float = 60) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - age_seconds,) * 2)
    return path


def downstream_of(settings: Settings, *first: tuple[str, ...]) -> set[tuple[str, ...]]:
    """The slow twin of the sensor's selection: follow the edges until nothing is added; figure 4 is by hand alone."""
    keys = set(first)
    jobs = jobs_of(settings)
    while True:
        more = {job.key for job in jobs if any(up.key in keys for up in job.upstream())}
        if more <= keys:
            return {key for key in keys if "sensitivity" not in key and key != ("figure_4",)}
        keys |= more


def requested(result: dg.SensorResult | dg.SkipReason) -> set[tuple[str, ...]]:
    assert isinstance(result, dg.SensorResult), result
    (request,) = result.run_requests
    return {tuple(key.path) for key in request.asset_selection}


@pytest.fixture
def real(tmp_path: Path) -> Settings:
    for name in ("mpd", "lfm", "audio"):
        old_file(tmp_path / name / f"{name}.first")
    folders = {f"{name}_dir": str(tmp_path / name) for name in ("mpd", "lfm", "audio")}
    return make_settings(data_dir=str(tmp_path / "data"), **folders)


def test_the_demo_has_nothing_to_watch(tmp_path: Path) -> None:
    result = tick(make_settings(data_dir=str(tmp_path)))
    assert isinstance(result, dg.SkipReason)
    assert "demo world" in result.skip_message and "LARP_MPD_DIR" in result.skip_message


def test_files_never_seen_are_new_and_then_known(real: Settings) -> None:
    first = tick(real)
    assert requested(first) == downstream_of(real, ("mpd", "source"), ("lfm", "source"))
    second = tick(real, first.cursor)
    assert isinstance(second, dg.SkipReason) and "No new or changed file" in second.skip_message


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ("mpd/mpd.slice.0-999.json", [("mpd", "source")]),
        ("lfm/listening-events.tsv.bz2", [("lfm", "source")]),
        ("audio/deep/song.mp3", [("mpd", "mp3"), ("lfm", "mp3")]),
    ],
)
def test_a_new_file_runs_what_depends_on_it_and_no_more(
    real: Settings, tmp_path: Path, path: str, first: list[tuple[str, ...]]
) -> None:
    before = tick(real)
    old_file(tmp_path / path)
    result = tick(real, before.cursor)
    assert requested(result) == downstream_of(real, *first)
    assert result.run_requests[0].run_key != before.run_requests[0].run_key
    assert isinstance(tick(real, result.cursor), dg.SkipReason)


def test_a_changed_or_removed_file_counts(real: Settings, tmp_path: Path) -> None:
    before = tick(real).cursor
    file = old_file(tmp_path / "mpd" / "mpd.first", text="another length")
    changed = tick(real, before)
    assert requested(changed) == downstream_of(real, ("mpd", "source"))
    file.unlink()
    assert requested(tick(real, changed.cursor)) == downstream_of(real, ("mpd", "source"))


def test_a_file_still_being_copied_is_waited_for(real: Settings, tmp_path: Path) -> None:
    before = tick(real).cursor
    old_file(tmp_path / "mpd" / "mpd.slice.new.json", age_seconds=0)
    result = tick(real, before)
    assert isinstance(result, dg.SkipReason) and "mpd.slice.new.json" in result.skip_message
    old_file(tmp_path / "mpd" / ".mpd.slice.part.json", age_seconds=0)
    old_file(tmp_path / "mpd" / "mpd.slice.new.json")
    assert requested(tick(real, before)) == downstream_of(real, ("mpd", "source"))


def test_own_music_is_its_own_audio(tmp_path: Path) -> None:
    for name in ("mpd", "own", "audio"):
        old_file(tmp_path / name / f"{name}.first")
    folders = {f"{name}_dir": str(tmp_path / name) for name in ("mpd", "own", "audio")}
    settings = make_settings(data_dir=str(tmp_path / "data"), **folders)
    before = tick(settings).cursor
    old_file(tmp_path / "own" / "Artist" / "song.mp3")
    added = tick(settings, before)
    assert requested(added) == downstream_of(settings, ("own", "source"))
    assert ("own", "mp3") in requested(added) and ("mpd", "mp3") not in requested(added)
    old_file(tmp_path / "audio" / "song.mp3")
    assert requested(tick(settings, added.cursor)) == downstream_of(settings, ("mpd", "mp3"))


def test_a_folder_of_audio_that_nobody_reads_is_not_watched(tmp_path: Path) -> None:
    old_file(tmp_path / "own" / "list.m3u")
    settings = make_settings(data_dir=str(tmp_path / "data"), own_dir=str(tmp_path / "own"), audio_dir=str(tmp_path))
    first = tick(settings)
    assert requested(first) == downstream_of(settings, ("own", "source"))


def test_a_folder_that_vanished_is_a_reason_in_words(tmp_path: Path) -> None:
    result = tick(make_settings(data_dir=str(tmp_path), mpd_dir=str(tmp_path / "gone"), datasets="mpd"))
    assert isinstance(result, dg.SkipReason) and str(tmp_path / "gone") in result.skip_message


def test_the_weekly_retrain_asks_for_one_run_of_everything(tmp_path: Path) -> None:
    repository = build_definitions(make_settings(data_dir=str(tmp_path))).get_repository_def()
    schedule = repository.get_schedule_def("weekly_retrain")
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(instance=instance, repository_def=repository)
        (request,) = schedule.evaluate_tick(context).run_requests
    assert request.asset_selection is None
    assert schedule.job_name == "train_all"
