"""The MPD out of the distribution's zips, and the challenge set."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from data_files import mpd_playlist, write_slice
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from read_mpd import read

from larp_core.data.readers import mpd
from larp_core.data.readers.mpd_slice import (
    EMPTY,
)
from larp_core.runtime.errors import UserError

CHALLENGE = {
    "date": "2018-01-16",
    "version": "v1",
    "playlists": [
        mpd_playlist(1_000_000, [1, 2], num_holdouts=5, num_samples=2),
        {key: value for key, value in mpd_playlist(1_000_002, [7]).items() if key != "name"},
        mpd_playlist(1_000_003, [], num_holdouts=9),
    ],
}


@pytest.fixture
def loose(tmp_path: Path) -> Path:
    for first in (10_000, 2_000, 0):
        write_slice(tmp_path / "loose", first, [mpd_playlist(first, [first, 1]), mpd_playlist(first + 1, [2, 2])])
    (tmp_path / "loose" / "challenge_set.json").write_text(json.dumps(CHALLENGE))
    return tmp_path / "loose"


def pack(archive: Path, files: list[Path], folder: str) -> Path:
    archive.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as handle:
        handle.writestr(f"{folder}README.md", "hello")
        for path in files:
            handle.write(path, f"{folder}{path.name}")
    return archive


def test_zips_give_what_the_folder_gives(loose, tmp_path):
    zips = tmp_path / "zips"
    pack(zips / mpd.DATASET_ZIP, list(loose.glob("mpd.slice.*.json")), "data/")
    pack(zips / mpd.CHALLENGE_ZIP, [loose / "challenge_set.json"], "")
    expected = read(loose, tmp_path / "parts_1")
    for ours, theirs in zip(read(zips, tmp_path / "parts_2"), expected, strict=True):
        assert ours.equals(theirs)
    assert not [path for path in tmp_path.glob("parts_2/**/*.json") if path.is_file() and path.name != "part.json"]
    alone = read(zips / mpd.DATASET_ZIP, tmp_path / "parts_3")
    assert alone[0]["source_id"].to_list() == ["0", "1", "2000", "2001", "10000", "10001"]


def test_challenge_playlists_stand_last_and_are_marked(loose, tmp_path):
    playlists, _, interactions, rejects = read(loose)
    challenge = playlists.filter(pl.col("source_id").str.starts_with(mpd.CHALLENGE_PREFIX))
    assert (
        challenge.rows()
        == playlists.tail(2).rows()
        == [
            ("challenge:1000000", "list 1000000", None),
            ("challenge:1000002", None, None),
        ]
    )
    assert interactions.filter(pl.col("source_id") == "challenge:1000000").height == 2
    assert ("challenge_set.json", EMPTY, 1, "playlists[2]") in rejects.rows()


def test_loose_slices_go_before_those_of_a_zip(loose, tmp_path):
    other = write_slice(tmp_path / "other", 5_000, [mpd_playlist(9, [9])])
    pack(loose / mpd.DATASET_ZIP, [other], "data/")
    assert "mpd.slice.5000-5999.json" not in [raw.name for raw in mpd.find_files(loose)]


def cut(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-30])


def replace_by_text(archive: Path) -> None:
    archive.write_text("not a zip")


def empty(archive: Path) -> None:
    archive.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, replace_by_text, empty])
def test_a_broken_zip_is_refused(loose, tmp_path, damage: Callable[[Path], Any]):
    archive = pack(tmp_path / "zips" / mpd.DATASET_ZIP, list(loose.glob("mpd.slice.*.json")), "data/")
    damage(archive)
    for source in (archive, archive.parent):
        with pytest.raises(UserError, match="cut off or not a zip"):
            mpd.find_files(source)


def test_two_members_of_one_name_are_refused(loose, tmp_path):
    archive = pack(tmp_path / "zips" / mpd.DATASET_ZIP, list(loose.glob("mpd.slice.0-*.json")), "data/")
    with zipfile.ZipFile(archive, "a") as handle:
        handle.writestr("copy/mpd.slice.0-999.json", "{}")
    with pytest.raises(UserError, match="more than once"):
        mpd.find_files(archive)


@given(at=st.integers(0, 2_000), byte=st.integers(0, 255))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_byte_in_a_zip_costs_one_member_at_most(loose, tmp_path, at, byte):
    archive = pack(tmp_path / "zips" / mpd.DATASET_ZIP, sorted(loose.glob("mpd.slice.*.json")), "data/")
    content = bytearray(archive.read_bytes())
    content[at % len(content)] = byte
    archive.write_bytes(content)
    shutil.rmtree(tmp_path / "parts", ignore_errors=True)
    try:
        playlists, _, _, rejects = read(archive, tmp_path / "parts")
    except UserError:
        return
    unread = rejects.filter(pl.col("reason").str.starts_with("cannot be read"))
    assert unread.height <= 1 and playlists.height + 2 * unread.height in (4, 6)
