"""What the tags of audio files say, read once: a table remembers it by path, size and modification time."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mutagen
import polars as pl

from larp_core.data.readers.chunk import Schema
from larp_core.data.readers.own_folder import normal
from larp_core.runtime.files import write_parquet
from larp_core.runtime.progress import progressing

TAGS_VERSION = "1"
"""Raised when the same file should give other tags."""

SCHEMA: Schema = {
    "path": pl.String,
    "num_bytes": pl.Int64,
    "modified_ns": pl.Int64,
    "title": pl.String,
    "artist": pl.String,
    "album": pl.String,
    "duration_ms": pl.Int32,
    "problem": pl.String,
}

KEYS = {
    "title": ("title", "Title", "TIT2"),
    "artist": ("artist", "Author", "Artist", "TPE1"),
    "album_artist": ("albumartist", "WM/AlbumArtist", "Album Artist", "TPE2"),
    "album": ("album", "WM/AlbumTitle", "Album", "TALB"),
}
"""Field: its key in Vorbis comments, MP4 and ID3 (mutagen's easy names), in ASF, in APEv2, and in ID3 within WAV."""

MAX_INT32 = 2**31 - 1
SAVE_EVERY_FILES = 5_000

logger = logging.getLogger(__name__)


def load_tags(files: Mapping[str, Path], table: Path) -> pl.DataFrame:
    """`SCHEMA`, a row a file of `files` (by path below their folder), in that order.

    New and changed files are read; `table` remembers the result, every few thousand files too. What can't be read has
    no names and says why in `problem`.
    """
    known = _remembered(table)
    rows: list[tuple[Any, ...]] = []
    new = 0
    for path, file in progressing(files.items(), len(files), "file", part="tags"):
        signature = _signature(file)
        row = known.get(path)
        if row is None or row[1:3] != signature:
            row = (path, *signature, *_read(file))
            new += 1
            if new % SAVE_EVERY_FILES == 0:
                _save([*rows, row], table)
        rows.append(row)
    tags = _save(rows, table)
    unreadable = tags.drop_nulls("problem")
    logger.info("tags: %d files read, %d as before, %d unreadable", new, len(rows) - new, unreadable.height)
    for path, problem in unreadable.head(3).select("path", "problem").iter_rows():
        logger.info("no tags in %s: %s", path, problem)
    return tags


def read_tags(file: Path) -> dict[str, Any]:
    """`title`, `artist`, `album` and `duration_ms`, each None where the file doesn't say.

    Raises:
        ValueError: no tags or format that mutagen knows; a file may be audio all the same.
    """
    try:
        audio = mutagen.File(file, easy=True)
    except Exception as error:  # of mangled files the parsers raise what comes, from struct.error to RecursionError
        raise ValueError(" ".join(f"{type(error).__name__}: {error}".split())[:200]) from None
    if audio is None:
        raise ValueError("a format without tags, or none that is known")
    found = {name: _first(audio.tags, keys) for name, keys in KEYS.items()}
    album_artist = found.pop("album_artist")
    seconds = getattr(audio.info, "length", None)
    return found | {"artist": found["artist"] or album_artist, "duration_ms": _milliseconds(seconds)}


def _remembered(table: Path) -> dict[str, tuple[Any, ...]]:
    if not table.exists() or pl.read_parquet_metadata(table).get("tags") != TAGS_VERSION:
        return {}
    return {row[0]: row for row in pl.read_parquet(table, columns=list(SCHEMA)).iter_rows()}


def _save(rows: list[tuple[Any, ...]], table: Path) -> pl.DataFrame:
    tags = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    write_parquet(tags, table, metadata={"tags": TAGS_VERSION})
    return tags


def _signature(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError:  # gone since the folder was listed
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _read(file: Path) -> tuple[Any, ...]:
    try:
        tags = read_tags(file)
    except ValueError as error:
        return None, None, None, None, str(error)
    return tags["title"], tags["artist"], tags["album"], tags["duration_ms"], None


def _first(tags: Any, keys: tuple[str, ...]) -> str | None:
    """The text of the first key that has some; several values, such as two artists, stand side by side."""
    for key in keys:
        if values := list(dict.fromkeys(filter(None, map(clean, _values(tags, key))))):
            return ", ".join(values)
    return None


def _values(tags: Any, key: str) -> Iterator[str]:
    try:
        value = tags.get(key) if tags is not None else None
    except ValueError:  # a key that this kind of tag can't have
        value = None
    value = getattr(value, "text", value)  # an ID3 frame
    yield from map(str, value if isinstance(value, list) else [] if value is None else [value])


def clean(text: str) -> str:
    """In Unicode NFC, without control characters, surrounding and repeated spaces, and halves of surrogate pairs."""
    printable = "".join(" " if ord(sign) < 32 or ord(sign) == 127 else sign for sign in text)
    return normal(" ".join(printable.split()).encode("utf-8", "ignore").decode())


def _milliseconds(seconds: Any) -> int | None:
    if not isinstance(seconds, int | float) or not math.isfinite(seconds) or not 0 < seconds * 1000 <= MAX_INT32:
        return None
    return round(seconds * 1000) or None
