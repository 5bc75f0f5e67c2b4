"""Chunks as one dataset: a row a playlist, a row a track, and small integer ids that stay when data is added.

Memory grows with the names of playlists, the uris of distinct tracks, and four bytes for each track of each chunk.
All else passes through in blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from larp_core.data.readers.chunk import PLAYLIST_SCHEMA, TRACK_SCHEMA, Chunk
from larp_core.data.readers.rejects import Rejects

IN_EARLIER_FILE = "playlists whose id was there in an earlier file"
BATCH_TRACKS = 1_000_000
"""Tracks of chunks that are looked up at once: a hash table of all known tracks is built each time."""

BLOCK_ROWS = 1_000_000

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Known:
    """Ids given by an earlier run: `source_id, playlist_id` and `track_uri, track_id`."""

    playlists: pl.DataFrame
    tracks: pl.DataFrame


@dataclass(frozen=True)
class Merged:
    """A dataset whose tracks and interactions are yet to be passed through.

    Attributes:
        playlists: `playlist_id` and `PLAYLIST_SCHEMA`, by id.
        num_tracks: distinct ones.
        playlist_ids: for each chunk the id of each of its rows, -1 where an earlier file had the playlist.
        track_ids: the same for tracks, -1 where only such playlists have them.
        first_rows: for each chunk the rows of the tracks that no chunk before has.
        forgotten: how many known playlists and tracks are in the data no more; ids are then counted from 0 again.
    """

    chunks: list[Chunk]
    playlists: pl.DataFrame
    num_tracks: int
    playlist_ids: list[Ids]
    track_ids: list[Ids]
    first_rows: list[Ids]
    forgotten: tuple[int, int]


def merge_chunks(chunks: list[Chunk], known: Known | None, rejects: Rejects) -> Merged:
    """Of a playlist or track met in several chunks the first one's fields stay. Ids count from 0, without a gap.

    What an earlier run has numbered keeps its id and new things are numbered after it, in order of first appearance;
    where something known has gone, all is numbered in order of first appearance.
    """
    playlists, playlist_rows = _distinct_playlists(chunks)
    for chunk, rows in zip(chunks, playlist_rows, strict=True):
        _reject_repeated(chunk, rows, rejects)
    uris, track_rows, first_rows = _distinct_tracks(chunks, playlist_rows)
    playlist_ids, lost_playlists = _number(playlists["source_id"], known.playlists if known else None)
    track_ids, lost_tracks = _number(uris, known.tracks if known else None)
    if lost_playlists or lost_tracks:
        playlist_ids, track_ids = (np.arange(length, dtype=np.int32) for length in (playlists.height, len(uris)))
    return Merged(
        chunks,
        playlists.select(pl.Series("playlist_id", playlist_ids), *PLAYLIST_SCHEMA).sort("playlist_id"),
        len(uris),
        [_take(playlist_ids, rows) for rows in playlist_rows],
        [_take(track_ids, rows) for rows in track_rows],
        first_rows,
        (lost_playlists, lost_tracks),
    )


def track_blocks(merged: Merged) -> Iterator[pl.DataFrame]:
    """`track_id` and `TRACK_SCHEMA` by id, in blocks of some million rows."""

    def read(index: int) -> pl.DataFrame:
        rows = merged.first_rows[index]
        ids = pl.Series("track_id", merged.track_ids[index][rows])
        return _compact(merged.chunks[index].read_tracks()[rows].select(ids, *TRACK_SCHEMA))

    firsts = [ids[rows] for ids, rows in zip(merged.track_ids, merged.first_rows, strict=True)]
    return _in_blocks(read, firsts, ["track_id"])


def interaction_blocks(merged: Merged) -> Iterator[pl.DataFrame]:
    """`playlist_id, track_id, position, played_at` by playlist, position and track, in blocks of some million rows."""

    def read(index: int) -> pl.DataFrame:
        rows = merged.chunks[index].read_interactions()
        playlist_ids = merged.playlist_ids[index][rows["playlist_row"].to_numpy()]
        track_ids = merged.track_ids[index][rows["track_row"].to_numpy()]
        ids = [pl.Series("playlist_id", playlist_ids), pl.Series("track_id", track_ids)]
        return rows.select(*ids, "position", "played_at").filter(pl.col("playlist_id") >= 0)

    return _in_blocks(read, merged.playlist_ids, ["playlist_id", "position", "track_id"])


def _in_blocks(read: Callable[[int], pl.DataFrame], ids: list[Ids], keys: list[str]) -> Iterator[pl.DataFrame]:
    """The rows of all `read(index)` by `keys`; `ids[index]` are the values that the first key has there, or -1."""
    lowest = [int(some[some >= 0].min()) if (some >= 0).any() else -1 for some in ids]
    order = [index for index in np.argsort(lowest, kind="stable").tolist() if lowest[index] >= 0]
    pending: list[pl.DataFrame] = []
    for index, next_lowest in zip(order, [*(lowest[index] for index in order[1:]), None], strict=True):
        pending.append(read(index))
        if next_lowest is not None and sum(frame.height for frame in pending) < BLOCK_ROWS:
            continue
        rows = pl.concat(pending)
        # An id stands in one chunk, so what lies before the next chunks' ids is complete.
        is_complete = pl.lit(True) if next_lowest is None else pl.col(keys[0]) < next_lowest
        pending = [rows.filter(~is_complete)]
        yield rows.filter(is_complete).sort(keys)


def _distinct_playlists(chunks: list[Chunk]) -> tuple[pl.DataFrame, list[Ids]]:
    """Playlists in order of first appearance; for each chunk the row of each playlist there, -1 for a repeated one."""
    every = pl.concat([chunk.playlists for chunk in chunks])
    is_first = every["source_id"].is_first_distinct()
    rows = np.where(is_first.to_numpy(), np.cumsum(is_first.to_numpy()) - 1, -1).astype(np.int32)
    ends = np.cumsum([chunk.playlists.height for chunk in chunks])
    return every.filter(is_first), np.split(rows, ends[:-1])


def _reject_repeated(chunk: Chunk, rows: Ids, rejects: Rejects) -> None:
    if (rows >= 0).all():
        return
    owner = chunk.read_interactions()["playlist_row"].to_numpy()
    first = chunk.playlists["source_id"][int(np.flatnonzero(rows < 0)[0])]
    rejects.add(chunk.file, IN_EARLIER_FILE, int((rows[owner] < 0).sum()), f"playlist {first}")


def _distinct_tracks(chunks: list[Chunk], playlist_rows: list[Ids]) -> tuple[pl.Series, list[Ids], list[Ids]]:
    """Uris in order of first appearance; for each chunk the rows of its tracks there, and which of them came first.

    A track that no kept playlist of the chunk has is at row -1.
    """
    found = pl.DataFrame(schema={"track_uri": pl.String, "row": pl.Int32})
    track_rows: list[Ids] = []
    batch: list[pl.DataFrame] = []
    for index, chunk in enumerate(chunks):
        batch.append(_used_uris(chunk, playlist_rows[index]))
        if sum(uris.height for uris in batch) < BATCH_TRACKS and index + 1 < len(chunks):
            continue
        uris = pl.concat(batch)
        rows = uris.join(found, on="track_uri", how="left", maintain_order="left")["row"]
        new = uris.filter(rows.is_null()).drop_nulls().unique(maintain_order=True)
        numbers = pl.int_range(found.height, found.height + new.height, dtype=pl.Int32, eager=True)
        new = _compact(new.with_columns(numbers.alias("row")))
        rows = rows.fill_null(uris.join(new, on="track_uri", how="left", maintain_order="left")["row"])
        found = pl.concat([found, new])
        track_rows += np.split(rows.fill_null(-1).to_numpy(), np.cumsum([frame.height for frame in batch])[:-1])
        batch = []
    return found["track_uri"], track_rows, _first_rows(track_rows)


def _first_rows(track_rows: list[Ids]) -> list[Ids]:
    """Rows count up in order of first appearance: a row above all before it is a first one."""
    firsts: list[Ids] = []
    highest = -1
    for rows in track_rows:
        before = np.maximum.accumulate(np.concatenate([np.array([highest], dtype=np.int32), rows]))
        firsts.append(np.flatnonzero(rows > before[:-1]).astype(np.int32))
        highest = int(before[-1])
    return firsts


def _used_uris(chunk: Chunk, rows: Ids) -> pl.DataFrame:
    """The uri of each track, null where no kept playlist has it: null joins nothing."""
    uris = chunk.tracks.lazy().select("track_uri").collect()
    if (rows >= 0).all():
        return uris
    interactions = chunk.read_interactions()
    used = np.zeros(uris.height, dtype=bool)
    used[interactions["track_row"].to_numpy()[rows[interactions["playlist_row"].to_numpy()] >= 0]] = True
    return uris.select(pl.when(pl.Series(used)).then("track_uri"))


def _compact(frame: pl.DataFrame) -> pl.DataFrame:
    """A copy of few rows out of many: texts otherwise keep the memory of all that they were taken from."""
    return pl.DataFrame(frame.to_arrow(compat_level=pl.CompatLevel.oldest()), schema=frame.schema)


def _number(keys: pl.Series, known: pl.DataFrame | None) -> tuple[Ids, int]:
    """An id a key, and how many known keys are not among them."""
    if known is None:
        return np.arange(len(keys), dtype=np.int32), 0
    key, name = known.columns
    ids = keys.to_frame(key).join(known, on=key, how="left", maintain_order="left")[name]
    is_new = ids.is_null().to_numpy()
    numbers = np.where(is_new, known.height + np.cumsum(is_new) - 1, ids.fill_null(0).to_numpy())
    return numbers.astype(np.int32), known.height - int((~is_new).sum())


def _take(ids: Ids, rows: Ids) -> Ids:
    return np.where(rows >= 0, ids[np.maximum(rows, 0)], -1).astype(np.int32) if len(ids) else rows
