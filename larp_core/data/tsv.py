"""Streaming tab-separated files, plain or bz2, in bounded memory: columns bound by header name, no quoting."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import indexed_bzip2
import polars as pl
from tqdm import tqdm

from larp_core.errors import UserError

CHUNK_BYTES = 32 << 20


@dataclass(frozen=True)
class Column:
    """A column wanted: its canonical name, type (text that doesn't parse becomes null), other names it goes by."""

    name: str
    dtype: type[pl.DataType]
    aliases: tuple[str, ...] = ()
    required: bool = True


def stream_tsv(path: Path, columns: tuple[Column, ...], chunk_bytes: int = CHUNK_BYTES) -> Iterator[pl.DataFrame]:
    """Yields frames of the wanted columns, in file order; an absent optional column is all null.

    LF and CRLF ends are taken, quotes are data, bytes that aren't UTF-8 become U+FFFD, a row with too few fields has
    nulls, an empty field is null.

    Raises:
        UserError: the file can't be read or decompressed, is empty, or lacks a required column.
    """
    blocks = _line_blocks(path, chunk_bytes)
    first = next(blocks, b"")
    header_line, _, rest = first.partition(b"\n")
    header = header_line.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").rstrip("\r").split("\t")
    bound = _bind(path, [name.strip().lower() for name in header], columns)
    names = [f"column_{index}" for index in range(len(header))]
    for block in itertools.chain([rest] if rest else [], blocks):
        yield _parse(block, names, bound, columns)


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
                f"{path}: no column {wanted} in the header ({found}); add the header or bring the original file"
            )
    return bound


def _parse(block: bytes, names: list[str], bound: dict[str, int], columns: tuple[Column, ...]) -> pl.DataFrame:
    # A header of our own before each block makes the number of columns independent of the block's first row.
    header = "\t".join(names).encode() + b"\n"
    dtypes = {names[bound[column.name]]: column.dtype for column in columns if column.name in bound}
    frame = pl.read_csv(
        header + block,
        separator="\t",
        quote_char=None,
        columns=list(dtypes),
        schema_overrides={name: dtypes.get(name, pl.String) for name in names},
        ignore_errors=True,
        truncate_ragged_lines=True,
        encoding="utf8-lossy",
    )
    values = [
        pl.col(names[bound[column.name]]).alias(column.name)
        if column.name in bound
        else pl.lit(None, column.dtype).alias(column.name)
        for column in columns
    ]
    return frame.select(values)


def _line_blocks(path: Path, chunk_bytes: int) -> Iterator[bytes]:
    """Blocks of whole lines, each about `chunk_bytes` long."""
    rest = b""
    try:
        with _open(path) as handle, tqdm(desc=path.name, unit="B", unit_scale=True, disable=None) as progress:
            while block := handle.read(chunk_bytes):
                progress.update(len(block))
                end = block.rfind(b"\n") + 1
                if end == 0:
                    rest += block
                    continue
                yield rest + block[:end]
                rest = block[end:]
    except (OSError, EOFError, RuntimeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        detail = " ".join(str(error).split())
        raise UserError(f"{path}: cut off or damaged ({detail}); copy it again from the distribution") from None
    if rest:
        yield rest


def _open(path: Path) -> BinaryIO:
    if path.suffix != ".bz2":
        return path.open("rb")
    with path.open("rb") as handle:
        magic = handle.read(3)
    if magic != b"BZh":  # the parallel decoder reads such a file as an empty one
        raise UserError(f"{path}: not a bz2 file; copy it again, or take .bz2 off the name if it is plain text")
    return indexed_bzip2.open(str(path), parallelization=os.cpu_count() or 1)
