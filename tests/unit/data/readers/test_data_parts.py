"""Parts: a raw file is read once, and again when it, the reader's settings or the part itself has changed."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import polars as pl
import pytest

from larp_core.data.readers.archive import zip_members
from larp_core.data.readers.mpd import FILE_NAME
from larp_core.data.readers.parts import PartStore, Reading, UnreadableError
from larp_core.runtime.errors import UserError


class Reader:
    """Reads a file's length, and remembers what it was asked to read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, raw) -> Reading:
        self.read.append(raw.name)
        return Reading({"sizes": pl.DataFrame({"size": [len(raw.read_bytes())]})}, num_rows=3, num_kept=1)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    path = tmp_path / "raw" / "a.json"
    path.write_text("hello")
    return path


@pytest.fixture
def store(tmp_path: Path) -> PartStore:
    return PartStore(tmp_path / "parts", "v1")


def test_an_unchanged_file_is_read_once(raw, store):
    reader = Reader()
    first, second = store.get(raw, reader), store.get(raw, reader)
    assert reader.read == ["a.json"]
    assert (first.is_new, second.is_new) == (True, False)
    assert (second.num_rows, second.num_kept) == (3, 1)
    assert second.read("sizes").rows() == second.scan("sizes").collect().rows() == [(5,)]


def test_a_touched_file_is_not_read_again_and_its_time_is_remembered(raw, store):
    reader = Reader()
    store.get(raw, reader)
    os.utime(raw, ns=(1, 1))
    assert not store.get(raw, reader).is_new
    assert '"signature": [\n    5,\n    1\n  ]' in (store.folder / "a.json" / "part.json").read_text()


def test_new_content_of_the_same_size_is_read(raw, store):
    reader = Reader()
    store.get(raw, reader)
    before = store.digests()
    raw.write_text("HELLO")
    os.utime(raw, ns=(1, 1))
    assert store.get(raw, reader).is_new and store.digests() != before


def test_other_settings_and_a_damaged_part_are_read_again(raw, store):
    reader = Reader()
    store.get(raw, reader)
    other = PartStore(store.folder, "v2")
    assert other.get(raw, reader).is_new
    (store.folder / "a.json" / "sizes.parquet").write_bytes(b"")
    assert other.get(raw, reader).is_new
    (store.folder / "a.json" / "sizes.parquet").unlink()
    assert other.get(raw, reader).is_new
    assert other.get(raw, reader).read("sizes").rows() == [(5,)]


def test_a_reading_that_was_killed_leaves_no_part(raw, store):
    def killed(raw: Path) -> Reading:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.get(raw, killed)
    assert store.find(raw) is None and store.digests() == {}
    assert store.get(raw, Reader()).is_new


def test_parts_of_files_that_are_gone_are_deleted(raw, store):
    other = raw.with_name("b.json")
    other.write_text("x")
    for path in (raw, other):
        store.get(path, Reader())
    assert store.forget_others([raw]) == ["b.json"]
    assert set(store.digests()) == {"a.json"}


def test_an_unreadable_file_is_named(tmp_path, store):
    with pytest.raises(UnreadableError, match=r"gone\.json: cannot be read \(No such file") as caught:
        store.get(tmp_path / "gone.json", Reader())
    assert isinstance(caught.value, UserError) and caught.value.detail == "No such file or directory"


def test_a_member_of_a_zip_goes_by_name_size_and_crc(tmp_path, store):
    archive, reader = tmp_path / "x.zip", Reader()

    def pack(text: str) -> None:
        with zipfile.ZipFile(archive, "w") as handle:
            handle.writestr("other.txt", os.urandom(9))
            handle.writestr("data/mpd.slice.0-999.json", text)

    for text, is_new in (("hello", True), ("hello", False), ("HELLO", True)):
        pack(text)
        (member,) = zip_members(archive, FILE_NAME)
        assert store.get(member, reader).is_new is is_new
    assert reader.read == ["mpd.slice.0-999.json"] * 2
