"""The user's folder as a list of files."""

from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path

import pytest

from larp_core.data.readers.chunk import TRACK_URI
from larp_core.data.readers.own_folder import scan_folder, track_uri


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_uris_are_stable_well_formed_and_go_by_the_path():
    assert track_uri("Artist/Song.mp3") == "own:0a63a3a450a41cfd68b50e"
    uris = [track_uri(path) for path in ("a.mp3", "b/a.mp3", "A.mp3", "ü.mp3")]
    assert len(set(uris)) == 4 and all(TRACK_URI.fullmatch(uri) and len(uri) == 26 for uri in uris)


def test_hidden_things_are_left_out(tmp_path):
    touch(tmp_path, "a.mp3", "b/c.FLAC", "._a.mp3", ".AppleDouble/a.mp3", "b/.hidden/d.mp3", "cover.jpg", "b/mix.m3u")
    own = scan_folder(tmp_path)
    assert list(own.audio) == ["a.mp3", "b/c.FLAC"] and list(own.others) == ["b/mix.m3u", "cover.jpg"]


def test_a_decomposed_name_is_known_by_its_composed_form(tmp_path):
    touch(tmp_path, unicodedata.normalize("NFD", "Café/Ünder.mp3"))
    own = scan_folder(tmp_path)
    assert list(own.audio) == ["Café/Ünder.mp3"] and own.audio["Café/Ünder.mp3"].is_file()


def test_case_decides_where_it_must(tmp_path):
    touch(tmp_path, "Song.mp3", "song.mp3", "Other.mp3")
    own = scan_folder(tmp_path)
    if len(own.audio) < 3:
        pytest.skip("this file system doesn't tell case apart")
    assert own.at(["song.mp3"]) == ["song.mp3"] and own.at(["other.MP3"]) == ["Other.mp3"]
    assert own.at(["SONG.mp3"]) == ["Song.mp3", "song.mp3"] and own.at(["none.mp3"]) == []


def test_links_to_files_count_and_links_to_folders_do_not(tmp_path):
    touch(tmp_path, "library/a.mp3", "elsewhere/b.mp3")
    (tmp_path / "library" / "linked.mp3").symlink_to(tmp_path / "elsewhere" / "b.mp3")
    (tmp_path / "library" / "gone.mp3").symlink_to(tmp_path / "nowhere.mp3")
    (tmp_path / "library" / "loop").symlink_to(tmp_path / "library")
    assert list(scan_folder(tmp_path / "library").audio) == ["a.mp3", "linked.mp3"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems don't take such names")
def test_a_name_that_is_not_utf8_is_listed(tmp_path):
    touch(tmp_path, "a.mp3", os.fsdecode(b"caf\xe9.mp3"))
    own = scan_folder(tmp_path)
    assert list(own.audio) == ["a.mp3"] and own.badly_named == ["caf\ufffd.mp3"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_folder_is_listed(tmp_path):
    touch(tmp_path, "a.mp3", "secret/b.mp3")
    (tmp_path / "secret").chmod(0)
    try:
        assert scan_folder(tmp_path).unreadable == {"secret": "Permission denied"}
    finally:
        (tmp_path / "secret").chmod(0o700)
