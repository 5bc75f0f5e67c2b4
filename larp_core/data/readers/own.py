"""The user's own music, the dataset `own`: the reader of a folder of audio with its playlists.

Playlists are `*.m3u` and `*.m3u8` at any depth and `playlists.csv` (`playlist,track`) at the top; each names files of
the same folder. The files' tags give the names. Audio that no playlist names takes no part. A row, in the counts of
rejects, is an entry of a playlist, an empty playlist, or an audio file in no playlist: each is kept or rejected.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from larp_core.config import IngestConfig
from larp_core.config.datasets import DATASETS
from larp_core.data.readers.chunk import INTERACTION_SCHEMA, PLAYLIST_SCHEMA, TRACK_SCHEMA, Chunk
from larp_core.data.readers.entry_paths import find_file
from larp_core.data.readers.own_folder import OwnFolder, scan_folder, track_uri
from larp_core.data.readers.parts import PartStore
from larp_core.data.readers.playlist_files import PlaylistEntry, WrittenPlaylist, parse_csv, parse_m3u
from larp_core.data.readers.rejects import UNREAD, Rejects
from larp_core.data.readers.tags import clean, load_tags
from larp_core.runtime.errors import UserError

M3U_SUFFIXES = (".m3u", ".m3u8")
TABLE = "playlists.csv"
TAGS_TABLE = "tags.parquet"

REPEAT = "repeats of a track within a playlist (kept once)"
EMPTY = "playlists without an entry"
SAME_AS_M3U8 = "entries of an .m3u that stands beside an .m3u8 of the same name"
INCOMPLETE = "rows without a playlist or a track"
NOT_CSV = "not valid CSV: what comes after is left out"
IN_NO_PLAYLIST = "audio files in no playlist"
BADLY_NAMED = "files whose name is not UTF-8: rename them"


def find_files(folder: Path) -> list[Path]:
    """The playlists' files, in the order of their paths. Raises UserError where there are none."""
    return list(_playlist_files(scan_folder(folder)).values())


def read_chunks(folder: Path, store: PartStore, rejects: Rejects, config: IngestConfig) -> Iterator[Chunk]:
    """All playlists as one chunk. They are small and read each time; the tags are remembered in the store's folder.

    Raises:
        UserError: there is no playlist, no audio, or a `playlists.csv` without its header.
    """
    own = scan_folder(folder)
    files = _playlist_files(own)
    if not own.audio:
        raise UserError(
            f"{folder} holds playlists and no audio; set LARP_OWN_DIR to a folder that holds both, "
            "such as the one above it"
        )
    collected = _collect(own, files, rejects)
    tags = load_tags({path: own.audio[path] for path in collected.named}, store.folder / TAGS_TABLE)
    _reject_unused(own, collected, rejects)
    yield Chunk(
        playlists=_playlists(collected.names),
        tracks=_tracks(tags, collected.named),
        interactions=pl.DataFrame(collected.rows, schema=INTERACTION_SCHEMA, orient="row"),
    )


def _playlists(names: dict[str, str]) -> pl.DataFrame:
    found = pl.DataFrame(list(names.items()), schema={"source_id": pl.String, "name": pl.String}, orient="row")
    return found.match_to_schema(PLAYLIST_SCHEMA, missing_columns="insert")


@dataclass
class _Collected:
    """Playlists by `source_id`, rows of `INTERACTION_SCHEMA`, and what entries say of the file at each path."""

    names: dict[str, str] = field(default_factory=dict)
    rows: list[tuple[str, str, int, None]] = field(default_factory=list)
    named: dict[str, dict[str, Any]] = field(default_factory=dict)


def _playlist_files(own: OwnFolder) -> dict[str, Path]:
    files = {path: file for path, file in own.others.items() if path.lower().endswith(M3U_SUFFIXES) or path == TABLE}
    if not files:
        raise UserError(
            f"{own.folder} holds no {DATASETS['own'].expected_files}; export playlists from your player, or write "
            f"{TABLE} with the header 'playlist,track' and a line for each track, such as "
            "'Sundays,Artist/Album/Song.mp3'"
        )
    return files


def _collect(own: OwnFolder, files: dict[str, Path], rejects: Rejects) -> _Collected:
    collected = _Collected()
    stems_of_m3u8 = {path[: -len(".m3u8")] for path in files if path.lower().endswith(".m3u8")}
    for path, file in files.items():
        try:
            content = file.read_bytes()
        except OSError as error:
            rejects.add(path, f"{UNREAD} ({error.strerror or error})")
            continue
        if path == TABLE:
            _add_table(own, content, collected, rejects)
            continue
        written = parse_m3u(content)
        if path.lower().endswith(".m3u") and path[: -len(".m3u")] in stems_of_m3u8:
            rejects.add(path, SAME_AS_M3U8, max(1, len(written.entries)))
            continue
        name = written.name or PurePosixPath(path).stem
        _add(own, path, path, WrittenPlaylist(name, written.entries), collected, rejects)
    return collected


def _add_table(own: OwnFolder, content: bytes, collected: _Collected, rejects: Rejects) -> None:
    table = parse_csv(content, str(own.folder / TABLE))
    for name, written in table.playlists.items():
        _add(own, TABLE, f"{TABLE}/{name}", written, collected, rejects)
    first = f"line {table.incomplete_lines[0]}" if table.incomplete_lines else ""
    rejects.add(TABLE, INCOMPLETE, len(table.incomplete_lines), first)
    rejects.add(TABLE, NOT_CSV, int(bool(table.problem)), table.problem)


def _add(
    own: OwnFolder, file: str, source_id: str, written: WrittenPlaylist, collected: _Collected, rejects: Rejects
) -> None:
    """One playlist, a track at its first position; what can't be found goes to the rejects."""
    if not written.entries:
        rejects.add(file, EMPTY)
    base = PurePosixPath(file).parent.parts
    seen: set[str] = set()
    for position, entry in enumerate(written.entries):
        path, problem = find_file(own, entry.text, base, by_name=file == TABLE)
        if problem or path in seen:
            rejects.add(file, problem or REPEAT, place=f"line {entry.line}: {clean(entry.text)[:200]}")
            continue
        seen.add(path)
        collected.names[source_id] = clean(written.name or "") or source_id
        collected.rows.append((source_id, track_uri(path), position, None))
        _note(collected.named.setdefault(path, {}), entry)


def _note(said: dict[str, Any], entry: PlaylistEntry) -> None:
    """The first playlist that says something of a file is believed."""
    for name in ("title", "artist", "duration_ms"):
        if (value := getattr(entry, name)) is not None:
            said.setdefault(name, clean(value) if isinstance(value, str) else value)


def _tracks(tags: pl.DataFrame, said: dict[str, dict[str, Any]]) -> pl.DataFrame:
    """`TRACK_SCHEMA`: names by the tags, else by `#EXTINF`; a title that neither has is the file's name.

    Artists and albums have no ids of their own: whoever compares them goes by their names.
    """
    rows = []
    for row in tags.iter_rows(named=True):
        told = {name: row[name] or said[row["path"]].get(name) for name in ("title", "artist", "duration_ms")}
        title = told["title"] or clean(PurePosixPath(row["path"]).stem)
        rows.append((track_uri(row["path"]), title, None, told["artist"], None, row["album"], told["duration_ms"]))
    return pl.DataFrame(rows, schema=TRACK_SCHEMA, orient="row")


def _reject_unused(own: OwnFolder, collected: _Collected, rejects: Rejects) -> None:
    unused = [path for path in own.audio if path not in collected.named]
    rejects.add("", IN_NO_PLAYLIST, len(unused), unused[0] if unused else "")
    rejects.add("", BADLY_NAMED, len(own.badly_named), own.badly_named[0] if own.badly_named else "")
    for path, problem in own.unreadable.items():
        rejects.add(path, f"{UNREAD} ({problem})")
