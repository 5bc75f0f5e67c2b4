"""The Million Playlist Dataset: the reader of its slices and of the challenge set.

Format of `mpd.slice.<start>-<end>.json`: {"info": {...}, "playlists": [{"pid", "name", "description", "tracks":
[{"pos", "track_uri": "spotify:track:<22>", "track_name", "artist_uri", "artist_name", "album_uri", "album_name",
"duration_ms"}], ...}]}, UTF-8, 1,000 playlists a file. `challenge_set.json` is the same but for `num_holdouts`; some of
its playlists have no `name`, and `tracks` are the seeds alone, since the holdouts were never published.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from larp_core.config import IngestConfig
from larp_core.config.datasets import DATASETS
from larp_core.data.readers.archive import RawFile, zip_members
from larp_core.data.readers.chunk import Chunk
from larp_core.data.readers.mpd_slice import read_slice
from larp_core.data.readers.parts import Part, PartStore, Reading, UnreadableError
from larp_core.data.readers.rejects import UNREAD, Rejects
from larp_core.runtime.errors import UserError
from larp_core.runtime.progress import Progress
from larp_core.runtime.workers import Crashed, map_in_processes

DATASET_ZIP = "spotify_million_playlist_dataset.zip"
CHALLENGE_ZIP = "spotify_million_playlist_dataset_challenge.zip"
FILE_NAME = re.compile(r"mpd\.slice\.([0-9]+)-([0-9]+)\.json")
CHALLENGE_SET = re.compile(r"challenge_set\.json")

CHALLENGE_PREFIX = "challenge:"
"""Before the `pid` in the `source_id` of the challenge set's playlists: they are like others, but with seeds only."""

READER_VERSION = "mpd 2"
"""Raised when the same file should give other parts."""

SLICES_PER_PROCESS = 4
"""Starting a process takes as long as about this many slices."""

CRASHED = f"{UNREAD} (the process that read it died, perhaps for want of memory)"


def find_files(source: Path) -> list[RawFile]:
    """The slices in numeric order, then the challenge set where there is one.

    In a folder, files that lie there go before those in the distribution's zips. `source` may be a zip itself.

    Raises:
        UserError: there is no slice, or a zip can't be read.
    """
    slices = _in_numeric_order(_matching(source, DATASET_ZIP, FILE_NAME))
    if not slices:
        raise UserError(f"{source} holds no {DATASETS['mpd'].expected_files}")
    return slices + _matching(source, CHALLENGE_ZIP, CHALLENGE_SET)


def read_chunks(source: Path, store: PartStore, rejects: Rejects, config: IngestConfig) -> Iterator[Chunk]:
    """One chunk a raw file, in the order of `find_files`. New and changed files are read on all cores.

    Of a broken file the playlists that stand whole before the damage are kept; what can't be kept is in `rejects`.
    """
    files = find_files(source)
    store = replace(store, settings=READER_VERSION)
    store.forget_others(files)
    parts = _read_all(files, store)
    for raw in files:
        part = parts[raw.name]
        if isinstance(part, str):
            rejects.add(raw.name, part)
            continue
        rejects.extend([part.read("rejects")])
        interactions = part.scan("interactions").with_columns(played_at=pl.lit(None, pl.Datetime("us")))
        yield Chunk(part.read("playlists"), part.scan("tracks"), interactions, raw.name)


def _matching(source: Path, zip_name: str, name: re.Pattern[str]) -> list[RawFile]:
    if source.is_file():
        return [*zip_members(source, name)]
    loose: list[RawFile] = [path for path in source.iterdir() if name.fullmatch(path.name)]
    archive = source / zip_name
    return loose or ([*zip_members(archive, name)] if archive.exists() else [])


def _in_numeric_order(slices: list[RawFile]) -> list[RawFile]:
    def numbers(raw: RawFile) -> tuple[int, int, str]:
        match = FILE_NAME.fullmatch(raw.name)
        assert match is not None
        return int(match[1]), int(match[2]), raw.name

    return sorted(slices, key=numbers)


def _read_all(files: list[RawFile], store: PartStore) -> dict[str, Part | str]:
    """By file name: its part, or why it has none."""
    parts: dict[str, Part | str] = {}
    new = []
    for raw in files:
        known = _or_reason(store.find, raw)
        if known is None:
            new.append(raw)
        else:
            parts[raw.name] = known
    with Progress(len(new), "slice") as progress:
        for raw, part in map_in_processes(_make_reader, (store,), new, SLICES_PER_PROCESS):
            parts[raw.name] = CRASHED if isinstance(part, Crashed) else part
            progress.add()
    return parts


def _make_reader(store: PartStore) -> Callable[[RawFile], Part | str | None]:
    return lambda raw: _or_reason(lambda file: store.get(file, _read), raw)


def _or_reason(read: Callable[[RawFile], Part | None], raw: RawFile) -> Part | str | None:
    try:
        return read(raw)
    except UnreadableError as error:
        return f"{UNREAD} ({error.detail})"


def _read(raw: RawFile) -> Reading:
    return read_slice(raw.read_bytes(), raw.name, CHALLENGE_PREFIX if CHALLENGE_SET.fullmatch(raw.name) else "")
