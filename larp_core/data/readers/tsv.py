"""Streaming tab-separated files, plain or bz2, in bounded memory: columns bound by header name, no quoting."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import indexed_bzip2
import polars as pl

from larp_core.data.readers.bytes_of_files import CarefulSource, DamagedError, ParallelSource, PlainSource, Source
from larp_core.data.readers.rejects import Rejects
from larp_core.runtime.ahead import made_ahead
from larp_core.runtime.errors import UserError
from larp_core.runtime.progress import Progress

Read = TypeVar("Read")

MEGABYTE = 1_000_000
CHUNK_BYTES = 2 << 20
"""Small, so that a block is parsed while it is in the cache."""
BLOCKS_AHEAD = 4
MAX_LINE_BYTES = 16 << 20
DAMAGE = "cut off or damaged here, the rest can't be read; copy the file again from the distribution"


@dataclass(frozen=True)
class Column:
    """A column wanted: its canonical name, type (text that doesn't parse becomes null), other names it goes by."""

    name: str
    dtype: type[pl.DataType]
    aliases: tuple[str, ...] = ()
    required: bool = True


def on_all_cores(read: Callable[[int], Read]) -> Read:
    """`read(num_cores)` with all cores, and again with one where a bz2 turns out damaged: that one stops in time."""
    try:
        return read(os.cpu_count() or 1)
    except DamagedError:
        return read(1)


class Shortcut(Protocol):
    """Another way to deal with the lines of a file whose header is `header`, without a frame of them."""

    header: list[str]

    def read(self, text: memoryview, first_row: int) -> tuple[int, int]:
        """How many of the first lines, and of the bytes, of a block it has dealt with; the rest becomes a frame."""


def stream_tsv(
    path: Path,
    columns: tuple[Column, ...],
    rejects: Rejects,
    chunk_bytes: int = CHUNK_BYTES,
    shortcut: Shortcut | None = None,
    num_cores: int = 1,
) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yields frames of the wanted columns, one row for each line after the header, in file order, and their first row.

    A line ends at LF; a CR at the end of a field is taken off. Quotes are data, bytes that aren't UTF-8 become U+FFFD,
    a row with too few fields has nulls, further fields are ignored, an empty field is null, and so is an absent
    optional column. A line longer than `MAX_LINE_BYTES` counts as empty. Where the file is cut off or damaged, all
    lines before that place are yielded (of a bz2 all but 256 bytes), and the broken one is a reject.

    Raises:
        UserError: the file can't be opened, is empty, lacks a required column, or is damaged before its first row.
        DamagedError: a bz2 is damaged and `num_cores` is above one, see `on_all_cores`. Forget the frames till then.
    """
    with (
        _open(path, num_cores) as source,
        Progress(source.num_bytes // MEGABYTE, "MB", part=path.name) as progress,
        contextlib.closing(_ahead(_line_blocks(source, chunk_bytes))) as blocks,
    ):
        header_line, _, rest = bytes(next(blocks, b"")).partition(b"\n")
        if source.damage and not rest:
            raise UserError(f"{path}: {source.damage}; copy it again from the distribution")
        header = header_line.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").rstrip("\r").split("\t")
        names = [name.strip().lower() for name in header]
        bound = _bind(path, names, columns)
        if shortcut and shortcut.header != names:
            shortcut = None
        num_rows = 0
        for text in itertools.chain([memoryview(rest)] if rest else [], blocks):
            if shortcut:
                num_lines, num_bytes = shortcut.read(text, num_rows)
                num_rows += num_lines
                text = text[num_bytes:]
            if len(text):
                frame = _parse(b"".join((_own_header(len(header)), text)), len(header), bound, columns)
                yield num_rows, frame
                num_rows += frame.height
            progress.update(source.position // MEGABYTE)
        if source.damage:
            rejects.add(path.name, DAMAGE, 1, f"line {num_rows + 2}")


def _bind(path: Path, header: list[str], columns: tuple[Column, ...]) -> dict[str, int]:
    """Canonical name -> index in the file's header."""
    if header == [""]:
        raise UserError(f"{path}: empty, no header line; copy the file again from the distribution")
    bound: dict[str, int] = {}
    for column in columns:
        index = next((header.index(name) for name in (column.name, *column.aliases) if name in header), None)
        if index is not None:
            bound[column.name] = index
        elif column.required:
            wanted = " or ".join((column.name, *column.aliases))
            found = ", ".join(header)[:100]
            raise UserError(
                f"{path}: no column {wanted} in the header ({found!a}); add the header or bring the original file"
            )
    return bound


def _own_header(num_columns: int) -> bytes:
    """Put before each block, it makes the number of columns independent of the block's first row."""
    return "\t".join(_names(num_columns)).encode() + b"\n"


def _names(num_columns: int) -> list[str]:
    return [f"column_{index}" for index in range(num_columns)]


def _parse(text: bytes, num_columns: int, bound: dict[str, int], columns: tuple[Column, ...]) -> pl.DataFrame:
    names = _names(num_columns)
    dtypes = {names[bound[column.name]]: column.dtype for column in columns if column.name in bound}
    values = [
        pl.col(names[bound[column.name]]).alias(column.name)
        if column.name in bound
        else pl.lit(None, column.dtype).alias(column.name)
        for column in columns
    ]

    def scan(encoding: Any) -> pl.DataFrame:
        frame = pl.scan_csv(
            text,
            separator="\t",
            quote_char=None,
            schema_overrides={name: dtypes.get(name, pl.String) for name in names},
            ignore_errors=True,
            truncate_ragged_lines=True,
            infer_schema=False,
            encoding=encoding,
        )
        return frame.select(values).collect()

    try:
        return scan("utf8")
    except pl.exceptions.ComputeError:  # bytes that aren't UTF-8; the patient way costs twice as much
        return scan("utf8-lossy")


def _line_blocks(source: Source, chunk_bytes: int) -> Iterator[memoryview]:
    """Blocks of whole lines, each about `chunk_bytes` long and ending in LF."""
    rest, too_long = bytearray(), False
    while True:
        block = bytearray(len(rest) + chunk_bytes)
        block[: len(rest)] = rest
        num_read = source.read_into(memoryview(block)[len(rest) :])
        if num_read == 0:
            break
        num_bytes = len(rest) + num_read
        end = block.rfind(b"\n", 0, num_bytes) + 1
        if end == 0:
            too_long = too_long or num_bytes > MAX_LINE_BYTES
            rest = bytearray() if too_long else block[:num_bytes]
            continue
        yield memoryview(block)[block.find(b"\n") if too_long else 0 : end].toreadonly()
        rest, too_long = block[end:num_bytes], False
    if not source.damage and (rest or too_long):
        yield memoryview(b"\n" if too_long else bytes(rest) + b"\n")


def _ahead(blocks: Iterator[memoryview]) -> Generator[memoryview]:
    """The blocks, fetched in a thread of its own, so that the decoder goes on while a block is parsed."""
    with contextlib.closing(made_ahead(itertools.repeat(None), lambda _: next(blocks, None), BLOCKS_AHEAD)) as fetched:
        for _, block in fetched:
            if block is None:
                return
            yield block


@contextlib.contextmanager
def _open(path: Path, num_cores: int) -> Iterator[Source]:
    try:
        with path.open("rb", buffering=0) as handle:
            if path.suffix != ".bz2":
                yield PlainSource(handle)
                return
            magic = handle.read(3)
            handle.seek(0)
            if magic == b"BZh" and num_cores == 1:
                yield CarefulSource(handle)
                return
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); replace the file or allow reading it") from None
    if magic != b"BZh":  # the parallel decoder reads such a file as an empty one
        raise UserError(f"{path}: not a bz2 file; copy it again, or take .bz2 off the name if it is plain text")
    with indexed_bzip2.open(str(path), parallelization=num_cores) as packed:
        yield ParallelSource(packed, path)
