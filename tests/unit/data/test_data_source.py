"""Mistakes in the source folder get one clear line each."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
from data_files import mpd_playlist, write_lfm, write_slice

from larp_core.graph import memo
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import read_json


def refusal(job) -> str:
    with pytest.raises(UserError) as caught:
        job.work()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_manifest_lists_the_files_in_numeric_order(tmp_path, make_job):
    for first in (10_000, 2_000, 0):
        write_slice(tmp_path / "mpd", first, [mpd_playlist(first, [1, 2])])
    job = make_job("source", tmp_path / "mpd")
    report = job.work()
    manifest = read_json(job.paths.source)
    assert [file["name"] for file in manifest["files"]] == [
        "mpd.slice.0-999.json",
        "mpd.slice.2000-2999.json",
        "mpd.slice.10000-10999.json",
    ]
    assert manifest["kind"] == "real" and report.num_rows == 3
    assert manifest["files"][0]["num_bytes"] == (tmp_path / "mpd" / "mpd.slice.0-999.json").stat().st_size


def test_demo_world_stands_in_where_nothing_is_configured(tmp_path, make_job):
    write_lfm(tmp_path / "out" / "demo_world" / "lfm2b", [(1, 1, 1, "2020-01-01 00:00:00")], [(1, "a", "b")])
    job = make_job("source", None, "lfm")
    job.work()
    assert read_json(job.paths.source)["kind"] == "demo"


def test_absent_folder(tmp_path, make_job):
    message = refusal(make_job("source", tmp_path / "nowhere"))
    assert "LARP_MPD_DIR" in message and "nowhere is not there" in message and "mpd.slice.*.json" in message


def test_a_file_in_place_of_the_folder(tmp_path, make_job):
    (tmp_path / "x.json").write_text("{}")
    assert "is a file" in refusal(make_job("source", tmp_path / "x.json"))


def test_empty_folder(tmp_path, make_job):
    (tmp_path / "mpd").mkdir()
    assert "is empty" in refusal(make_job("source", tmp_path / "mpd"))


def test_files_of_the_wrong_kind(tmp_path, make_job):
    (tmp_path / "lfm").mkdir()
    (tmp_path / "lfm" / "readme.txt").write_text("hello")
    message = refusal(make_job("source", tmp_path / "lfm", "lfm"))
    assert "LARP_LFM_DIR" in message and "listening-events.tsv[.bz2]" in message


def test_the_right_folder_one_level_down_is_named(tmp_path, make_job):
    write_slice(tmp_path / "mpd" / "data", 0, [mpd_playlist(0, [1])])
    assert f"set it to {tmp_path / 'mpd' / 'data'}" in refusal(make_job("source", tmp_path / "mpd"))


def test_unreadable_file(tmp_path, make_job):
    (tmp_path / "mpd").mkdir()
    (tmp_path / "mpd" / "mpd.slice.0-999.json").symlink_to(tmp_path / "gone.json")
    message = refusal(make_job("source", tmp_path / "mpd"))
    assert "cannot read" in message and "mpd.slice.0-999.json" in message


def test_an_unreadable_file_among_others_is_listed(tmp_path, make_job):
    write_slice(tmp_path / "mpd", 0, [mpd_playlist(0, [1])])
    (tmp_path / "mpd" / "mpd.slice.1000-1999.json").symlink_to(tmp_path / "gone.json")
    job = make_job("source", tmp_path / "mpd")
    problem = {"name": "mpd.slice.1000-1999.json", "num_bytes": 0, "problem": "No such file or directory"}
    assert job.work().tables["files that can't be read"] == [problem]
    assert read_json(job.paths.source)["files"][1] == problem


def test_the_distributions_zip_stands_for_the_folder(tmp_path, make_job):
    path = write_slice(tmp_path / "loose", 0, [mpd_playlist(0, [1])])
    archive = tmp_path / "mpd" / "spotify_million_playlist_dataset.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as handle:
        handle.write(path, f"data/{path.name}")
    for source in (archive, archive.parent):
        job = make_job("source", source)
        job.work()
        size = path.stat().st_size
        assert read_json(job.paths.source)["files"] == [{"name": path.name, "num_bytes": size, "problem": ""}]
        assert make_job("playlists", source).work().num_rows == 1
    archive.write_bytes(archive.read_bytes()[:-9])
    assert "cut off or not a zip" in refusal(make_job("source", archive))


def test_a_zip_of_something_else(tmp_path, make_job):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as handle:
        handle.writestr("a.jpg", "x")
    assert "holds no" in refusal(make_job("source", tmp_path / "photos.zip", "mpd"))
    assert "is a file" in refusal(make_job("source", tmp_path / "photos.zip", "lfm"))


def test_a_changed_zip_is_noticed(tmp_path, make_job):
    path = write_slice(tmp_path / "loose", 0, [mpd_playlist(0, [1])])
    source, playlists = (make_job(name, tmp_path / "x.zip") for name in ("source", "playlists"))
    for number, name in enumerate((path.name, "mpd.slice.1000-1999.json")):
        with zipfile.ZipFile(tmp_path / "x.zip", "a") as handle:
            handle.writestr(name, path.read_text().replace('"pid": 0', f'"pid": {number}'))
        assert memo.finished(source) is None
        memo.run(source)
        assert memo.run(playlists).report.num_rows == number + 1
        assert memo.finished(source) is not None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_file(tmp_path, make_job):
    path = write_slice(tmp_path / "mpd", 0, [mpd_playlist(0, [1])])
    path.chmod(0)
    assert "Permission denied" in refusal(make_job("source", tmp_path / "mpd"))


def test_real_samples_are_accepted(sample_data: Path, make_job):
    assert make_job("source", sample_data / "mpd").work().num_rows == 3
    assert make_job("source", sample_data / "lfm2b", "lfm").work().num_rows == 6
