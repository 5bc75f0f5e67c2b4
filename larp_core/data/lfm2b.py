"""LFM-2b: its constants, and the reader that makes one playlist of each user's distinct tracks in order of first play.

Format: tab-separated files with a header, plain or bz2, no quoting: `listening-events` (user_id, track_id, album_id,
timestamp), `tracks` (track_id, artist_name, track_name), `spotify-uris` (track_id, uri), `albums` (album_id,
album_name, artist_name). `users`, `artists` and `listening-counts` are not needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from larp_core.data.chunk import INTERACTION_SCHEMA, PLAYLIST_SCHEMA, TRACK_SCHEMA, TRACK_URI_PATTERN, Chunk
from larp_core.data.parts import PartStore
from larp_core.data.rejects import Rejects
from larp_core.data.tsv import Column, stream_tsv
from larp_core.errors import UserError
from larp_core.recipes import Recipe

LICENCE = "research use only: LFM-2b's terms (JKU Linz, Last.fm)"
CITATION = "Schedl, Brandl, Lesota et al.: LFM-2b, CHIIR 2022, doi 10.1145/3498366.3505791"
DEMO_FOLDER = "lfm2b"
EXPECTED_FILES = "listening-events.tsv[.bz2] and tracks.tsv[.bz2] (and, where there, spotify-uris and albums)"
REQUIRED = ("listening-events", "tracks")
OPTIONAL = ("spotify-uris", "albums", "artists", "users", "listening-counts")

USER = Column("user_id", pl.Int64, ("uid", "user"))
TRACK = Column("track_id", pl.Int64, ("tid",))
ALBUM = Column("album_id", pl.Int64, ("aid",), required=False)
EVENT_COLUMNS = (USER, TRACK, ALBUM, Column("timestamp", pl.String, ("time", "played_at")))
TRACK_COLUMNS = (
    TRACK,
    Column("artist_name", pl.String, ("artist",)),
    Column("track_name", pl.String, ("track", "title")),
)
URI_COLUMNS = (TRACK, Column("uri", pl.String, ("spotify_uri", "track_uri")))
ALBUM_COLUMNS = (Column("album_id", pl.Int64, ("aid",)), Column("album_name", pl.String, ("album", "title")))

MERGE_ROWS = 4_000_000


def find_files(folder: Path) -> list[Path]:
    """The dataset's files in a folder. Raises UserError where a required one is missing."""
    found = {name: _file(folder, name) for name in (*REQUIRED, *OPTIONAL)}
    missing = [name for name in REQUIRED if found[name] is None]
    if missing:
        raise UserError(f"{folder} holds no {missing[0]}.tsv[.bz2]; expected are {EXPECTED_FILES}")
    return sorted(path for path in found.values() if path is not None)


def read_chunks(folder: Path, store: PartStore, rejects: Rejects, recipe: Recipe) -> Iterator[Chunk]:
    """The whole dataset as one chunk; memory grows with the distinct pairs of user and track, not with the events.

    A track's identity is its Spotify uri where it has one, else `lfm:<track_id>`; several ids of one uri are one
    track. A track that has no name in `tracks` is left out: it has neither caption nor reliable identity. The album is
    that of the track's first event in the file. What can't be kept is counted in `dropped` by its reason.

    Raises:
        UserError: a file is missing, damaged, or lacks a column.
    """
    find_files(folder)
    dropped: Counter[str] = Counter()
    plays = _first_plays(_required(folder, "listening-events"), dropped)
    used = plays.select("track_id").unique()
    names = _lookup(_required(folder, "tracks"), TRACK_COLUMNS, used)
    names = names.filter(pl.col("track_name").is_not_null() | pl.col("artist_name").is_not_null())
    named = plays.join(names.select("track_id"), on="track_id", how="semi", maintain_order="left")
    num_events, num_named_events = int(plays["num_events"].sum()), int(named["num_events"].sum())
    dropped["tracks without a name in tracks.tsv"] += used.height - named["track_id"].n_unique()
    dropped["events of tracks without a name"] += num_events - num_named_events
    dropped["users without a named track"] += plays["user_id"].n_unique() - named["user_id"].n_unique()
    uris = _uris(folder, named.select("track_id").unique(), dropped)
    chunk = _chunk(named.join(uris, on="track_id", maintain_order="left"), names, _albums(folder, named))
    dropped["repeated plays of a track by a user (first kept)"] += num_named_events - chunk.read_interactions().height
    for reason, count in dropped.items():
        rejects.add("listening-events", reason, count)
    yield chunk


def _file(folder: Path, name: str) -> Path | None:
    candidates = [folder / f"{stem}{end}" for stem in (name, name.replace("-", "_")) for end in (".tsv.bz2", ".tsv")]
    return next((path for path in candidates if path.exists() or path.is_symlink()), None)


def _required(folder: Path, name: str) -> Path:
    path = _file(folder, name)
    if path is None:
        raise UserError(f"{folder} holds no {name}.tsv[.bz2]; expected are {EXPECTED_FILES}")
    return path


def _first_plays(path: Path, dropped: Counter[str]) -> pl.DataFrame:
    """`user_id, track_id, played_at, row, album_id, num_events`: each pair's first play, rows counted in the file."""
    parts: list[pl.DataFrame] = []
    num_pending = num_rows = 0
    for frame in stream_tsv(path, EVENT_COLUMNS):
        events = frame.with_row_index("row", num_rows).with_columns(
            pl.col("row").cast(pl.Int64),
            _time(pl.col("timestamp")).alias("played_at"),
            pl.lit(1, pl.Int64).alias("num_events"),
        )
        num_rows += frame.height
        events = events.drop("timestamp").drop_nulls(["user_id", "track_id", "played_at"])
        dropped["events whose user, track or time can't be read"] += frame.height - events.height
        parts.append(_first(events))
        num_pending += parts[-1].height
        if num_pending > MERGE_ROWS:
            parts = [_first(pl.concat(parts))]
            num_pending = 0
    if not parts:
        raise UserError(f"{path}: holds a header and no events; bring the file with its rows")
    return _first(pl.concat(parts))


def _first(events: pl.DataFrame) -> pl.DataFrame:
    """The earliest row of each user and track; of equal times the one that stands first in the file."""
    return (
        events.sort("played_at", "row")
        .group_by("user_id", "track_id", maintain_order=True)
        .agg(pl.col("played_at", "row", "album_id").first(), pl.col("num_events").sum())
    )


def _time(text: pl.Expr) -> pl.Expr:
    """`2013-11-23 14:22:38`, or seconds since 1970."""
    written = text.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us")
    return pl.coalesce(written, pl.from_epoch(text.cast(pl.Int64, strict=False), "s").cast(pl.Datetime("us")))


def _lookup(path: Path, columns: tuple[Column, ...], wanted: pl.DataFrame) -> pl.DataFrame:
    """The rows of a table whose key is in `wanted` (one column, the key), the first where a key repeats."""
    key = wanted.columns[0]
    parts = [frame.join(wanted, on=key, how="semi", maintain_order="left") for frame in stream_tsv(path, columns)]
    if not parts:
        return pl.DataFrame(schema={column.name: column.dtype for column in columns})
    return pl.concat(parts).unique(key, keep="first", maintain_order=True)


def _uris(folder: Path, tracks: pl.DataFrame, dropped: Counter[str]) -> pl.DataFrame:
    """`track_id, track_uri` for every track; what has no well-formed Spotify uri is named after its id."""
    path = _file(folder, "spotify-uris")
    found = (
        _lookup(path, URI_COLUMNS, tracks) if path else pl.DataFrame(schema={"track_id": pl.Int64, "uri": pl.String})
    )
    bare = pl.col("uri").str.strip_chars().str.strip_prefix("spotify:track:")
    found = found.select("track_id", track_uri=pl.when(bare.str.contains(TRACK_URI_PATTERN)).then(bare))
    fallback = pl.concat_str(pl.lit("lfm:"), pl.col("track_id").cast(pl.String))
    uris = tracks.join(found, on="track_id", how="left", maintain_order="left")
    uris = uris.with_columns(track_uri=pl.coalesce("track_uri", fallback))
    dropped["track ids merged into another of the same uri"] += uris.height - uris["track_uri"].n_unique()
    return uris


def _albums(folder: Path, plays: pl.DataFrame) -> pl.DataFrame:
    """`album_id, album_name` of the albums played; empty where there is no albums file."""
    path = _file(folder, "albums")
    if path is None:
        return pl.DataFrame(schema={"album_id": pl.Int64, "album_name": pl.String})
    return _lookup(path, ALBUM_COLUMNS, plays.select("album_id").drop_nulls().unique())


def _chunk(plays: pl.DataFrame, names: pl.DataFrame, albums: pl.DataFrame) -> Chunk:
    order = plays.group_by("user_id").agg(user_row=pl.col("row").min())
    interactions = (
        plays.sort("played_at", "row")
        .unique(["user_id", "track_uri"], keep="first", maintain_order=True)
        .join(order, on="user_id", maintain_order="left")
        .sort("user_row", maintain_order=True)
        .with_columns(position=pl.int_range(pl.len()).over("user_id"), source_id=pl.col("user_id").cast(pl.String))
    )
    return Chunk(
        playlists=interactions.select("source_id", name=pl.lit(None, pl.String))
        .unique("source_id", maintain_order=True)
        .match_to_schema(PLAYLIST_SCHEMA),
        tracks=_tracks(plays, names, albums, interactions),
        interactions=interactions.select(
            pl.col(name).cast(dtype, strict=False) for name, dtype in INTERACTION_SCHEMA.items()
        ),
    )


def _tracks(plays: pl.DataFrame, names: pl.DataFrame, albums: pl.DataFrame, interactions: pl.DataFrame) -> pl.DataFrame:
    """`TRACK_SCHEMA`: a merged track has the names of its smallest id and the album of its first event in the file."""
    first_album = (
        plays.filter(pl.col("album_id") >= 0)
        .sort("row")
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
