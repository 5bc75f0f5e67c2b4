"""One raw file of the Million Playlist Dataset as columns: what can be kept, and the rest counted by its reason.

A row, in the counts of this module, is an entry of a playlist; a playlist without entries and the unreadable rest of a
file are one row each. Every row is kept or rejected, for one reason.
"""

from __future__ import annotations

import html
import itertools
import json
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from larp_core.data.readers.chunk import TRACK_URI_PATTERN
from larp_core.data.readers.parts import Reading
from larp_core.data.readers.rejects import Rejects

ENTITY_PATTERN = r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"
"""Only what is closed by `;`: "Rock&not" is a name, not an entity."""
ENTITY = re.compile(ENTITY_PATTERN)
LIST_START = re.compile(r'"playlists"\s*:\s*\[\s*')
SEPARATOR = re.compile(r"\s*(,|\])\s*")
MAX_INT32 = 2**31 - 1
FIELDS = ("track_name", "artist_uri", "artist_name", "album_uri", "album_name", "duration_ms")

NOT_JSON = "not valid JSON, cut off or damaged: what comes after is left out"
NO_LIST = "field `playlists` is missing or not a list"
NO_TRACKS = "playlists without a list `tracks`"
EMPTY = "playlists without a track"
NO_PID = "playlists without a `pid`"
SAME_PID = "playlists whose `pid` was there before"
NO_USABLE_TRACK = "playlists without a usable track"
BAD_URI = "entries without a well-formed `track_uri`"
REPEAT = "repeats of a track within a playlist (kept once)"


@dataclass
class _Collected:
    """The playlists worth looking into: their ids, names, descriptions, and all their entries one after the other."""

    places: list[int] = field(default_factory=list)
    source_ids: list[str] = field(default_factory=list)
    names: list[Any] = field(default_factory=list)
    descriptions: list[Any] = field(default_factory=list)
    tracks: list[list[Any]] = field(default_factory=list)


def read_slice(content: bytes, file: str, id_prefix: str = "") -> Reading:
    """The frames `playlists`, `tracks`, `interactions` (`playlist_row`, `track_row`, `position`) and `rejects`.

    `id_prefix` stands before each `pid` in `source_id`.
    """
    playlists, problem, place = _load(content)
    rejects = Rejects()
    if problem:
        rejects.add(file, problem, place=place)
    found = _collect(playlists, file, id_prefix, rejects)
    names, tracks, interactions = _columns(found, file, rejects)
    num_rows = bool(problem) + sum(_num_rows(playlist) for playlist in playlists)
    num_kept, num_rejected = interactions.height, rejects.num_rows()
    assert num_rows == num_kept + num_rejected, f"{file}: {num_rows} rows in, {num_kept} kept, {num_rejected} rejected"
    frames = {"playlists": names, "tracks": tracks, "interactions": interactions, "rejects": rejects.frame()}
    return Reading(frames, num_rows, num_kept)


def _load(content: bytes) -> tuple[list[Any], str, str]:
    """The playlists of a file, what is wrong with it and where; of a broken file those that stand whole before."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        whole = orjson.loads(content)
    except orjson.JSONDecodeError:
        return _salvage(content.decode("utf-8", "replace"))
    playlists = whole.get("playlists") if isinstance(whole, dict) else None
    return (playlists, "", "") if isinstance(playlists, list) else ([], NO_LIST, "")


def _salvage(text: str) -> tuple[list[Any], str, str]:
    """What `_load` gives, playlist by playlist with the standard library, which also takes half surrogate pairs."""
    playlists: list[Any] = []
    start = LIST_START.search(text)
    if start is None:
        return [], NOT_JSON if text.strip() else "empty file", ""
    decoder, at = json.JSONDecoder(), start.end()
    try:
        while text[at : at + 1] != "]":
            playlist, at = decoder.raw_decode(text, at)
            playlists.append(playlist)
            separator = SEPARATOR.match(text, at)
            if separator is None:
                return playlists, NOT_JSON, f"after playlists[{len(playlists) - 1}]"
            at = separator.end() if separator[1] == "," else separator.start(1)
    except (ValueError, RecursionError):
        return playlists, NOT_JSON, f"playlists[{len(playlists)}]"
    return playlists, "", ""


def _num_rows(playlist: Any) -> int:
    tracks = playlist.get("tracks") if isinstance(playlist, dict) else None
    return max(1, len(tracks)) if isinstance(tracks, list) else 1


def _collect(playlists: list[Any], file: str, id_prefix: str, rejects: Rejects) -> _Collected:
    found = _Collected()
    for index, playlist in enumerate(playlists):
        if reason := _problem(playlist):
            rejects.add(file, reason, _num_rows(playlist), f"playlists[{index}]")
            continue
        found.places.append(index)
        found.source_ids.append(f"{id_prefix}{playlist['pid']}")
        found.names.append(playlist.get("name"))
        found.descriptions.append(playlist.get("description"))
        found.tracks.append(playlist["tracks"])
    return found


def _problem(playlist: Any) -> str:
    if not isinstance(playlist, dict) or not isinstance(playlist.get("tracks"), list):
        return NO_TRACKS
    if type(playlist.get("pid")) not in (int, str) or playlist["pid"] == "":
        return NO_PID
    return "" if playlist["tracks"] else EMPTY


def _columns(found: _Collected, file: str, rejects: Rejects) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Playlists, tracks and interactions. Numpy arrays here have one element an entry."""
    entries = list(itertools.chain.from_iterable(found.tracks))
    if set(map(type, entries)) - {dict}:
        entries = [entry if type(entry) is dict else {} for entry in entries]
    sizes = np.array([len(tracks) for tracks in found.tracks], dtype=np.int64)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    index = np.arange(len(entries)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    uris, good = _uris([entry.get("track_uri") for entry in entries])
    usable = np.bincount(owner[good], minlength=len(sizes)) > 0
    texts = {"source_id": found.source_ids, "name": found.names, "description": found.descriptions}
    playlists = pl.DataFrame({name: _strings(values) for name, values in texts.items()})
    is_first = np.zeros(len(sizes), dtype=bool)
    is_first[usable] = playlists["source_id"].filter(_mask(usable)).is_first_distinct().to_numpy()

    def reject(reason: str, rows: npt.NDArray[np.int64]) -> None:
        if len(rows):
            place = f"playlists[{found.places[owner[rows[0]]]}].tracks[{index[rows[0]]}]"
            rejects.add(file, reason, len(rows), place)

    reject(NO_USABLE_TRACK, np.flatnonzero(~usable[owner]))
    reject(SAME_PID, np.flatnonzero((usable & ~is_first)[owner]))
    reject(BAD_URI, np.flatnonzero(~good & is_first[owner]))
    rows = np.flatnonzero(good & is_first[owner])
    track_rows, firsts = _factorise(uris.gather(rows))
    position = _positions([entry.get("pos") for entry in entries], index)[rows]
    playlist_rows = (np.cumsum(is_first) - 1)[owner[rows]]
    kept = _first_of_each_pair(playlist_rows, track_rows, position)
    reject(REPEAT, np.delete(rows, kept))
    columns = {"playlist_row": playlist_rows, "track_row": track_rows, "position": position}
    interactions = pl.DataFrame({name: values[kept].astype(np.int32) for name, values in columns.items()})
    tracks = _tracks(uris.gather(rows[firsts]), [entries[row] for row in rows[firsts].tolist()])
    return _decode(playlists.filter(_mask(is_first)), "name", "description"), tracks, interactions


def _uris(values: list[Any]) -> tuple[pl.Series, npt.NDArray[np.bool_]]:
    """Bare track uris, and which of them are well-formed."""
    bare = pl.col("uri").str.strip_chars().str.strip_prefix("spotify:track:")
    well_formed = bare.str.contains(TRACK_URI_PATTERN).fill_null(False)
    uris = _strings(values).to_frame("uri").select(uri=bare, good=well_formed)
    return uris["uri"], uris["good"].to_numpy()


def _factorise(values: pl.Series) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Codes counted in order of first appearance, and the place of each code's first one."""
    codes = values.to_arrow().dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int64)
    highest_before = np.maximum.accumulate(np.concatenate([np.array([-1]), codes]))[:-1]
    return codes, np.flatnonzero(codes > highest_before)


def _positions(values: list[Any], index: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """`pos`, or the place in the list where it is no number that can be one."""
    checked = _whole_numbers(values, 0)
    if None in checked:
        checked = [place if value is None else value for value, place in zip(checked, index.tolist(), strict=True)]
    return np.array(checked, dtype=np.int64)


def _first_of_each_pair(
    playlist_rows: npt.NDArray[np.int64], track_rows: npt.NDArray[np.int64], position: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The rows to keep, by playlist, position and track: of a track in a playlist the one of lowest position."""
    order = np.lexsort((position, track_rows, playlist_rows))
    is_new = np.diff(playlist_rows[order], prepend=-1) != 0
    is_new |= np.diff(track_rows[order], prepend=-1) != 0
    kept = order[is_new]
    return kept[np.lexsort((track_rows[kept], position[kept], playlist_rows[kept]))]


def _tracks(uris: pl.Series, entries: list[dict[str, Any]]) -> pl.DataFrame:
    """`TRACK_SCHEMA`. A duration that is not positive says nothing and becomes null."""
    try:
        values = list(zip(*map(operator.itemgetter(*FIELDS), entries), strict=True))
    except KeyError:
        values = list(zip(*([entry.get(name) for name in FIELDS] for entry in entries), strict=True))
    raw = dict(zip(FIELDS, values or [()] * len(FIELDS), strict=True))
    durations = _whole_numbers(raw.pop("duration_ms"), 1)
    tracks = pl.DataFrame([uris.alias("track_uri"), *(_strings(texts).alias(name) for name, texts in raw.items())])
    tracks = tracks.with_columns(
        pl.col(f"{kind}_uri").str.strip_chars().str.strip_prefix(f"spotify:{kind}:") for kind in ("artist", "album")
    )
    return _decode(tracks, *(name for name in raw)).with_columns(pl.Series("duration_ms", durations, dtype=pl.Int32))


def _strings(values: Sequence[Any]) -> pl.Series:
    """What is no text is null; half a surrogate pair, which UTF-8 cannot hold, is U+FFFD."""
    if set(map(type, values)) - {str, type(None)}:
        values = [value if type(value) is str else None for value in values]
    try:
        return pl.Series(values, dtype=pl.String)
    except UnicodeEncodeError:
        whole = [value and value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for value in values]
        return pl.Series(whole, dtype=pl.String)


def _whole_numbers(values: Sequence[Any], lowest: int) -> Sequence[int | None]:
    """Whole numbers of at least `lowest` that fit 32 bits; else None."""
    if set(map(type, values)) == {int} and min(values) >= lowest and max(values) <= MAX_INT32:
        return values
    return [value if type(value) is int and lowest <= value <= MAX_INT32 else None for value in values]


def _decode(frame: pl.DataFrame, *names: str) -> pl.DataFrame:
    """Decodes the HTML entities of names; a blank one becomes null."""
    texts = pl.col(names)
    coded = frame.select(texts.str.contains(ENTITY_PATTERN).any()).row(0)
    for name in itertools.compress(names, coded):
        plain = [value and ENTITY.sub(lambda match: html.unescape(match[0]), value) for value in frame[name]]
        frame = frame.with_columns(pl.Series(name, plain, dtype=pl.String))
    return frame.with_columns(pl.when(texts.str.strip_chars() != "").then(texts).name.keep())


def _mask(values: npt.NDArray[np.bool_]) -> pl.Series:
    return pl.Series(values, dtype=pl.Boolean)
