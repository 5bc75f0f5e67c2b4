"""Streaming TSV against a naive split of the same bytes, on mangled, cut off and overlong input."""

from __future__ import annotations

import bz2
import random
import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from larp_core.data.readers import tsv
from larp_core.data.readers.rejects import Rejects
from larp_core.data.readers.tsv import Column, on_all_cores, stream_tsv
from larp_core.runtime.errors import UserError

QUIET = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
COLUMNS = (Column("key", pl.UInt32, ("id",)), Column("name", pl.String), Column("more", pl.String, required=False))
NUMBER = re.compile(rb" *\+?[0-9]+")
FIELDS = st.one_of(
    st.binary(max_size=12).map(lambda raw: raw.replace(b"\n", b"").replace(b"\t", b"")),
    st.sampled_from(
        [
            b"",
            b"7",
            b"007",
            b"-1",
            b"+5",
            b"4294967295",
            b"4294967296",
            b"1.0",
            b"1e3",
            b'"',
            b"\x00",
            b"#",
            b"7\r",
            b"7 ",
            b" 7",
            b"\r",
            b" ",
        ]
    ),
)
LINES = st.lists(st.lists(FIELDS, max_size=5).map(b"\t".join), max_size=12)


def write(folder: Path, raw: bytes, packed: bool) -> Path:
    path = folder / ("table.tsv.bz2" if packed else "table.tsv")
    path.write_bytes(bz2.compress(raw) if packed else raw)
    return path


def read(path: Path, chunk_bytes: int = tsv.CHUNK_BYTES) -> tuple[list[tuple], pl.DataFrame]:
    def work(num_cores: int) -> tuple[list[tuple], pl.DataFrame]:
        rejects = Rejects()
        frames = stream_tsv(path, COLUMNS, rejects, chunk_bytes, None, num_cores)
        rows: list[tuple] = []
        for first_row, frame in frames:
            assert first_row == len(rows)
            rows += frame.iter_rows()
        return rows, rejects.frame()

    return on_all_cores(work)


def naive(raw: bytes) -> list[tuple]:
    """`key, name, more` of a file with the header `name key other`."""
    rows = []
    for line in raw.removesuffix(b"\n").split(b"\n")[1:]:
        fields = [field.removesuffix(b"\r") for field in line.split(b"\t")] + [b"", b""]
        number = int(fields[1]) if NUMBER.fullmatch(fields[1]) else None
        name = fields[0].decode("utf-8", "replace") or None
        rows.append((number if number is not None and number < 2**32 else None, name, None))
    return rows


@given(LINES, st.sampled_from([b"\n", b"\r\n"]), st.booleans(), st.booleans(), st.sampled_from([7, 64, 1 << 20]))
@QUIET
def test_mangled_lines_equal_the_naive_split(tmp_path, lines, end, closed, packed, chunk_bytes):
    raw = end.join([b"name\tkey\tother", *lines]) + (end if closed else b"")
    rows, rejects = read(write(tmp_path, raw, packed), chunk_bytes)
    assert rows == naive(raw) and rejects.is_empty()


@pytest.mark.parametrize("packed", [True, False])
def test_overlong_lines_count_as_empty(tmp_path, monkeypatch, packed):
    monkeypatch.setattr(tsv, "MAX_LINE_BYTES", 1_000)
    raw = b"name\tkey\nx\t1\n" + b"y" * 5_000 + b"\t2\nz\t3\n" + b"w" * 3_000
    rows, rejects = read(write(tmp_path, raw, packed), 64)
    assert rows == [(1, "x", None), (None, None, None), (3, "z", None), (None, None, None)] and rejects.is_empty()


def long_text(num_rows: int) -> bytes:
    numbers = random.Random(5)
    return b"key\tname\n" + b"".join(b"%d\tname %d\n" % (row, numbers.randrange(10**9)) for row in range(num_rows))


def sound_lines(packed: bytes) -> int:
    """Whole lines after the header that the standard library gets out of a cut off file."""
    return max(bz2.BZ2Decompressor().decompress(packed).count(b"\n") - 1, 0)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.77, 0.999])
@pytest.mark.parametrize("chunk_bytes", [50_000, 4 << 20])
def test_rows_before_a_cut_are_kept_and_the_cut_is_a_reject(tmp_path, share, chunk_bytes):
    text = long_text(200_000)
    packed = bz2.compress(text)
    packed = packed[: int(len(packed) * share)]
    path = tmp_path / "table.tsv.bz2"
    path.write_bytes(packed)
    if not sound_lines(packed):
        with pytest.raises(UserError, match=r"table\.tsv\.bz2: cut off or damaged .*copy it again"):
            read(path, chunk_bytes)
        return
    rows, rejects = read(path, chunk_bytes)
    assert len(rows) == sound_lines(packed)
    assert (
        rows
        == [(row, line.split("\t")[1], None) for row, line in enumerate(text.decode().split("\n")[1:-1])][: len(rows)]
    )
    assert rejects.rows() == [("table.tsv.bz2", tsv.DAMAGE, 1, f"line {len(rows) + 2}")]


@pytest.mark.parametrize("num_lost", [1, 4, 9, 20])
def test_a_cut_in_the_last_bytes_is_noticed(tmp_path, num_lost):
    path = tmp_path / "table.tsv.bz2"
    path.write_bytes(bz2.compress(long_text(100_000))[:-num_lost])
    rows, rejects = read(path)
    assert rows[:1] == [(0, rows[0][1], None)] and rejects["reason"].to_list() == [tsv.DAMAGE]


def test_flipped_bits_end_the_file_there(tmp_path):
    packed = bytearray(bz2.compress(long_text(200_000)))
    half = len(packed) // 2
    packed[half : half + 40] = bytes(byte ^ 0xFF for byte in packed[half : half + 40])
    (tmp_path / "table.tsv.bz2").write_bytes(packed)
    rows, rejects = read(tmp_path / "table.tsv.bz2")
    assert [row[0] for row in rows] == list(range(len(rows))) and 0 < len(rows) < 200_000
    assert rejects.rows() == [("table.tsv.bz2", tsv.DAMAGE, 1, f"line {len(rows) + 2}")]


def test_several_streams_in_one_file_are_read_through(tmp_path):
    parts = [b"key\tname\n1\ta\n2", b"2\tb\n", b"3\tc"]
    (tmp_path / "table.tsv.bz2").write_bytes(b"".join(map(bz2.compress, parts)))
    assert read(tmp_path / "table.tsv.bz2")[0] == [(1, "a", None), (22, "b", None), (3, "c", None)]


@given(st.binary(max_size=60))
@QUIET
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path, raw):
    for name, prefix in (("table.tsv", b""), ("table.tsv.bz2", b""), ("table.tsv.bz2", b"BZh9")):
        (tmp_path / name).write_bytes(prefix + raw)
        with pytest.raises(UserError) as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value) and name in str(caught.value)
