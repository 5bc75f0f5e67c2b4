"""LFM-2b: the reader that makes one playlist of each user's distinct tracks in order of first play.

Format: tab-separated files with a header, plain or bz2, no quoting: `listening-events` (user_id, track_id, album_id,
timestamp), `tracks` (track_id, artist_name, track_name), `spotify-uris` (track_id, uri), `albums` (album_id,
album_name, artist_name). `users`, `artists` and `listening-counts` are not needed. There may be several events files,
`listening-events*`: newer ones beside the first.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import polars as pl

from larp_core.config import IngestConfig
from larp_core.config.datasets import DATASETS
from larp_core.data.readers.chunk import INTERACTION_SCHEMA, PLAYLIST_SCHEMA, TRACK_SCHEMA, TRACK_URI_PATTERN, Chunk
from larp_core.data.readers.lfm_events import read_plays
from larp_core.data.readers.lfm_plays import ID
from larp_core.data.readers.parts import PartStore
from larp_core.data.readers.rejects import Rejects
from larp_core.data.readers.tsv import CHUNK_BYTES, Column, on_all_cores, stream_tsv
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import hash_of

READER_VERSION = "lfm 2"
"""Raised when the same events file should give other plays."""
EVENTS_NAME = re.compile(r"(listening[-_]events.*)\.tsv(?:\.bz2)?")
LOOKUPS = ("tracks", "spotify-uris", "albums", "artists", "users", "listening-counts")

TRACK_KEY = Column("track_id", ID, ("tid",))
TRACK_COLUMNS = (
    TRACK_KEY,
    Column("artist_name", pl.String, ("artist",)),
    Column("track_name", pl.String, ("track", "title")),
)
URI_COLUMNS = (TRACK_KEY, Column("uri", pl.String, ("spotify_uri", "track_uri")))
ALBUM_COLUMNS = (Column("album_id", ID, ("aid",)), Column("album_name", pl.String, ("album", "title")))

REPEATED_ELSEWHERE = "repeated play of a track that another events file has (first kept)"
REPEATED_URI = "repeated play of a track under another id of the same uri (first kept)"
NO_NAME = "event of a track without a name in tracks"
NO_KEY = "row whose id is no number"
FILE_ROWS = 2**40
"""More events than a file holds: file index times this plus row is the place of an event among all files."""


def find_files(folder: Path) -> list[Path]:
    """The dataset's files in a folder. Raises UserError where a required one is missing."""
    found = [*_events_files(folder), _required(folder, "tracks"), *(_file(folder, name) for name in LOOKUPS[1:])]
    return sorted(path for path in found if path is not None)


def read_chunks(folder: Path, store: PartStore, rejects: Rejects, config: IngestConfig) -> Iterator[Chunk]:
    """The whole dataset as one chunk; memory grows with the distinct pairs of user and track, not with the events.

    A track's identity is its Spotify uri where it has one, else `lfm:<track_id>`; several ids of one uri are one
    track. A track that has no name in `tracks` is left out: it has neither caption nor reliable identity. The album is
    that of the track's first event in the files.

    Every row of an events file is kept as one interaction or is one of `rejects` under that file's name.

    Raises:
        UserError: a file is missing, can't be read at all, or lacks a column; there is no event at all.
    """
    files = _events_files(folder)
    tracks_file = _required(folder, "tracks")
    plays = _all_plays(files, store, rejects, config)
    names = _lookup(tracks_file, TRACK_COLUMNS, plays.select("track_id").unique(), rejects)
    names = names.filter(pl.col("track_name").is_not_null() | pl.col("artist_name").is_not_null())
    plays = _kept(plays, plays["track_id"].is_in(names["track_id"].implode()), files, rejects, NO_NAME)
    uris = _uris(folder, plays.select("track_id").unique(), rejects)
    plays = plays.join(uris, on="track_id", maintain_order="left")
    interactions = plays.sort("played_at", "place")
    is_first = interactions.select(pl.struct("user_id", "track_uri").is_first_distinct()).to_series()
    interactions = _kept(interactions, is_first, files, rejects, REPEATED_URI)
    playlists, edges = _playlists(interactions)
    albums = _albums(folder, plays, rejects)
    yield Chunk(playlists, _tracks(plays, names, albums, edges), edges)


def _events_files(folder: Path) -> list[Path]:
    """The events files, the first one first and then by name; of one that lies there packed and plain, the packed."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if match := EVENTS_NAME.fullmatch(path.name):
            stem = match[1].replace("_", "-")
            if stem not in found or path.suffix == ".bz2":
                found[stem] = path
    if not found:
        raise UserError(f"{folder} holds no listening-events.tsv[.bz2]; expected are {DATASETS['lfm'].expected_files}")
    return [found[stem] for stem in sorted(found)]


def _file(folder: Path, name: str) -> Path | None:
    candidates = [folder / f"{stem}{end}" for stem in (name, name.replace("-", "_")) for end in (".tsv.bz2", ".tsv")]
    return next((path for path in candidates if path.exists() or path.is_symlink()), None)


def _required(folder: Path, name: str) -> Path:
    path = _file(folder, name)
    if path is None:
        raise UserError(f"{folder} holds no {name}.tsv[.bz2]; expected are {DATASETS['lfm'].expected_files}")
    return path


def _all_plays(files: list[Path], store: PartStore, rejects: Rejects, config: IngestConfig) -> pl.DataFrame:
    """`user_id, track_id, album_id, played_at, place`: each pair's first play among all files, by place.

    Of equal times the earlier file's wins. `place` orders all events: by file, then by row.
    """
    read = functools.partial(read_plays, config=config)
    store = replace(store, settings=hash_of([READER_VERSION, asdict(config)]))
    parts = [store.get(path, read) for path in files]
    store.forget_others(files)
    rejects.extend(part.read("rejects") for part in parts)
    if not any(part.num_rows for part in parts):
        raise UserError(f"{files[0]}: holds a header and no events; bring the file with its rows")
    plays = pl.concat(
        part.read("plays").with_columns(place=pl.col("row") + index * FILE_ROWS).drop("row")
        for index, part in enumerate(parts)
    )
    if len(parts) == 1:
        return plays
    by_time = plays.sort("played_at", "place")
    is_first = by_time.select(pl.struct("user_id", "track_id").is_first_distinct()).to_series()
    return _kept(by_time, is_first, files, rejects, REPEATED_ELSEWHERE).sort("place")


def _kept(plays: pl.DataFrame, good: pl.Series, files: list[Path], rejects: Rejects, reason: str) -> pl.DataFrame:
    """The good plays; the others are recorded under their files."""
    file, row = pl.col("place") // FILE_ROWS, pl.col("place") % FILE_ROWS
    lost = plays.filter(~good).group_by(file.alias("file")).agg(num=pl.len(), first=row.min()).sort("file")
    for index, num, first in lost.iter_rows():
        rejects.add(files[index].name, reason, num, f"line {first + 2}")
    return plays.filter(good)


def _lookup(path: Path, columns: tuple[Column, ...], wanted: pl.DataFrame, rejects: Rejects) -> pl.DataFrame:
    """The rows of a table whose key is in `wanted` (one column, the key), the first where a key repeats."""
    found, lost = on_all_cores(lambda num_cores: _look_up(path, columns, wanted, num_cores))
    rejects.extend([lost.frame()])
    return found


def _look_up(
    path: Path, columns: tuple[Column, ...], wanted: pl.DataFrame, num_cores: int
) -> tuple[pl.DataFrame, Rejects]:
    key = wanted.columns[0]
    parts = [pl.DataFrame(schema={column.name: column.dtype for column in columns})]
    rejects = Rejects()
    for first_row, frame in stream_tsv(path, columns, rejects, CHUNK_BYTES, None, num_cores):
        no_key = frame[key].is_null()
        if no_key.any():
            rejects.add(path.name, NO_KEY, int(no_key.sum()), f"line {first_row + int(no_key.to_numpy().argmax()) + 2}")
        parts.append(frame.join(wanted, on=key, how="semi", maintain_order="left"))
    return pl.concat(parts).unique(key, keep="first", maintain_order=True), rejects


def _uris(folder: Path, tracks: pl.DataFrame, rejects: Rejects) -> pl.DataFrame:
    """`track_id, track_uri` for every track; what has no well-formed Spotify uri is named after its id."""
    path = _file(folder, "spotify-uris")
    found = (
        _lookup(path, URI_COLUMNS, tracks, rejects) if path else pl.DataFrame(schema={"track_id": ID, "uri": pl.String})
    )
    bare = pl.col("uri").str.strip_chars().str.strip_prefix("spotify:track:")
    found = found.select("track_id", track_uri=pl.when(bare.str.contains(TRACK_URI_PATTERN)).then(bare))
    fallback = pl.concat_str(pl.lit("lfm:"), pl.col("track_id").cast(pl.String))
    uris = tracks.join(found, on="track_id", how="left", maintain_order="left")
    return uris.with_columns(track_uri=pl.coalesce("track_uri", fallback))


def _albums(folder: Path, plays: pl.DataFrame, rejects: Rejects) -> pl.DataFrame:
    """`album_id, album_name` of the albums played; empty where there is no albums file."""
    path = _file(folder, "albums")
    if path is None:
        return pl.DataFrame(schema={"album_id": ID, "album_name": pl.String})
    return _lookup(path, ALBUM_COLUMNS, plays.select("album_id").drop_nulls().unique(), rejects)


def _playlists(plays: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`PLAYLIST_SCHEMA` and `INTERACTION_SCHEMA` of plays that are by time; users by their first event's place."""
    order = plays.group_by("user_id").agg(user_place=pl.col("place").min())
    interactions = (
        plays.join(order, on="user_id", maintain_order="left")
        .sort("user_place", maintain_order=True)
        .with_columns(position=pl.int_range(pl.len()).over("user_id"), source_id=pl.col("user_id").cast(pl.String))
    )
    playlists = interactions.select("source_id").unique(maintain_order=True)
    return (
        playlists.match_to_schema(PLAYLIST_SCHEMA, missing_columns="insert"),
        interactions.select(pl.col(name).cast(dtype) for name, dtype in INTERACTION_SCHEMA.items()),
    )


def _tracks(plays: pl.DataFrame, names: pl.DataFrame, albums: pl.DataFrame, interactions: pl.DataFrame) -> pl.DataFrame:
    """`TRACK_SCHEMA`: a merged track has the names of its smallest id and the album of its first event in the files."""
    first_album = (
        plays.filter(pl.col("album_id").is_not_null())
        .sort("place")
        .unique("track_uri", keep="first")
        .select("track_uri", "album_id")
    )
    named = plays.sort("track_id").unique("track_uri", keep="first").select("track_uri", "track_id")
    album_uri = pl.when(pl.col("album_id").is_not_null()).then(
        pl.concat_str(pl.lit("lfm:"), pl.col("album_id").cast(pl.String))
    )
    tracks = (
        interactions.select("track_uri")
        .unique(maintain_order=True)
        .join(named, on="track_uri", how="left", maintain_order="left")
        .join(names, on="track_id", how="left", maintain_order="left")
        .join(first_album, on="track_uri", how="left", maintain_order="left")
        .join(albums, on="album_id", how="left", maintain_order="left")
        .with_columns(album_uri=album_uri, artist_uri=pl.lit(None, pl.String), duration_ms=pl.lit(None, pl.Int32))
    )
    return tracks.select(pl.col(name).cast(dtype) for name, dtype in TRACK_SCHEMA.items())
