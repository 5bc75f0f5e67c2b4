"""Which tracks are by the same artist, or from the same album."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from larp_core.config.paths import DatasetPaths

NO_KEY = -1


def track_keys(paths: DatasetPaths, track_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes of each track's artist and album, int64 [N] each; equal codes mean the same one, -1 that it is unknown.

    They are numbered from 0 in the order in which `track_ids` meet them.

    The artist's key is its URI, or its case-folded name where there is none; the album's is its URI, or its
    case-folded name together with the artist's key.
    """
    columns = ["track_id", "artist_uri", "artist_name", "album_uri", "album_name"]
    names = pl.read_parquet(paths.metadata, columns=columns)
    rows = pl.DataFrame({"track_id": track_ids}).join(names, on="track_id", how="left", maintain_order="left")
    artists, albums = [], []
    for row in rows.iter_rows(named=True):
        artist = _key(row["artist_uri"], row["artist_name"])
        album = _key(row["album_uri"], row["album_name"])
        artists.append(artist)
        albums.append(album if album is None or row["album_uri"] else (artist, album))
    return _codes(artists), _codes(albums)


def _key(uri: str | None, name: str | None) -> tuple[str, str] | None:
    if uri:
        return ("uri", uri)
    folded = (name or "").strip().casefold()
    return ("name", folded) if folded else None


def _codes(keys: Sequence[object]) -> np.ndarray:
    numbers: dict[object, int] = {}
    return np.array([NO_KEY if key is None else numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
