"""Damage that a decoder of several cores does not notice: a lost block, a lost stream, and what is no bz2."""

from __future__ import annotations

import bz2
import random
from pathlib import Path

import indexed_bzip2
import pytest

from larp_core.config import IngestConfig
from larp_core.data.readers import bytes_of_files, bz2_blocks, lfm_events, tsv
from larp_core.data.readers.bz2_blocks import BLOCK_MARK, are_complete

SLACK_LINES = bytes_of_files.OUTPUT_BYTES // len("1\t1\t1\t2020-01-01 00:00:00\n") + 1


def events(first: int, count: int) -> list[str]:
    numbers = random.Random(first)
    return [
        f"{number}\t{numbers.randrange(10**6)}\t-1\t2020-01-01 00:00:{number % 60:02d}"
        for number in range(first, first + count)
    ]


def packed(lines: list[str], header: bool) -> bytes:
    return bz2.compress(
        "\n".join([*(["user_id\ttrack_id\talbum_id\ttimestamp"] if header else []), *lines, ""]).encode()
    )


def block_offsets(path: Path) -> list[int]:
    with indexed_bzip2.open(str(path), parallelization=2) as handle:
        handle.read()
        return list(handle.block_offsets())


def break_mark(raw: bytes, offset: int) -> bytes:
    """One bit of the block's mark, whose first bit is at `offset`, the other way round."""
    broken = bytearray(raw)
    broken[(offset + 40) // 8] ^= 0x80 >> (offset + 40) % 8
    return bytes(broken)


def read(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], list[tuple]]:
    monkeypatch.setattr(tsv.os, "cpu_count", lambda: 2)
    reading = lfm_events.read_plays(path, IngestConfig())
    return reading.frames["plays"]["user_id"].to_list(), reading.frames["rejects"].rows()


@pytest.fixture(scope="module")
def two_streams() -> tuple[bytes, bytes]:
    return packed(events(0, 60_000), True), packed(events(60_000, 60_000), False)


@pytest.mark.parametrize("index", [1, 2, 4, 5])
def test_a_block_whose_mark_is_damaged_ends_the_file_there(tmp_path, monkeypatch, two_streams, index):
    path = tmp_path / "listening-events.tsv.bz2"
    path.write_bytes(b"".join(two_streams))
    offsets = block_offsets(path)
    marks = [offset for offset in offsets if mark_at(path, offset) == BLOCK_MARK]
    path.write_bytes(break_mark(path.read_bytes(), marks[index]))
    users, rejects = read(path, monkeypatch)
    assert users == list(range(len(users))) and rejects == [(path.name, tsv.DAMAGE, 1, f"line {len(users) + 2}")]
    before = lines_before(path, marks[index])
    assert before - SLACK_LINES <= len(users) <= before


def mark_at(path: Path, offset: int) -> int:
    with path.open("rb") as handle:
        return bz2_blocks._mark_and_crc(handle, offset)[0]


def lines_before(path: Path, offset: int) -> int:
    """Whole events before the block at `offset`, by the standard library, fed no further than its first bits."""
    text, rest = b"", path.read_bytes()[: offset // 8 + 2]
    while rest:
        decoder = bz2.BZ2Decompressor()
        text += decoder.decompress(rest)
        rest = decoder.unused_data
    return text.count(b"\n") - 1


@pytest.mark.parametrize("place", range(10))
def test_a_second_stream_that_does_not_begin_is_told(tmp_path, monkeypatch, two_streams, place):
    first, second = two_streams
    broken = bytearray(second)
    broken[place] ^= 0xFF
    path = tmp_path / "listening-events.tsv.bz2"
    path.write_bytes(first + bytes(broken))
    users, rejects = read(path, monkeypatch)
    assert users == list(range(len(users))) and 60_000 - SLACK_LINES <= len(users) <= 60_000
    assert rejects == [(path.name, tsv.DAMAGE, 1, f"line {len(users) + 2}")]


@pytest.mark.parametrize("rest", [b"x", b"BZh9", bytes(1_000), b"user_id\n"])
def test_what_follows_and_is_no_bz2_is_told(tmp_path, monkeypatch, two_streams, rest):
    path = tmp_path / "listening-events.tsv.bz2"
    path.write_bytes(two_streams[0] + rest)
    users, rejects = read(path, monkeypatch)
    assert users == list(range(60_000)) and rejects == [(path.name, tsv.DAMAGE, 1, "line 60002")]


def test_sound_streams_are_complete_and_lack_no_block(tmp_path, monkeypatch, two_streams):
    path = tmp_path / "listening-events.tsv.bz2"
    path.write_bytes(two_streams[0] + bz2.compress(b"") + two_streams[1])
    assert read(path, monkeypatch) == (list(range(120_000)), [])
    offsets = block_offsets(path)
    assert are_complete(path, offsets)
    assert not any(are_complete(path, offsets[:lost] + offsets[lost + 1 :]) for lost in range(len(offsets) - 1))


def test_one_core_reads_what_several_read(tmp_path, monkeypatch, two_streams):
    path = tmp_path / "listening-events.tsv.bz2"
    path.write_bytes(b"".join(two_streams))
    assert read(path, monkeypatch) == (list(range(120_000)), [])
    monkeypatch.setattr(tsv.os, "cpu_count", lambda: 1)
    assert lfm_events.read_plays(path, IngestConfig()).frames["plays"]["user_id"].to_list() == list(range(120_000))
