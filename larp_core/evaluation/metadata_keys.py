"""Which tracks are by the same artist, or from the same album, and how known an artist is from train playlists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from larp_core.config.paths import DatasetPaths
from larp_core.evaluation.split_statistics import playlist_members

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


def artist_popularity(paths: DatasetPaths, track_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Artists and albums of tracks (codes int64 [N], -1 unknown), in how many train playlists each track's artist
    stands (int64 [N], 0 where unknown), and the number of train playlists."""
    train = playlist_members(paths).filter(pl.col("split") == "train")
    train_tracks = train["track_id"].unique().sort().to_numpy()
    artists, albums = track_keys(paths, np.concatenate([track_ids, train_tracks]))
    own, of_train = artists[: len(track_ids)], artists[len(track_ids) :]
    heard = train.select("playlist_id", "track_id").join(
        pl.DataFrame({"track_id": train_tracks, "artist": of_train}), on="track_id"
    )
    counts = heard.filter(pl.col("artist") != NO_KEY).unique(["playlist_id", "artist"]).group_by("artist").len()
    table = np.zeros(int(artists.max(initial=0)) + 1, np.int64)
    table[counts["artist"].to_numpy()] = counts["len"].to_numpy()
    popularity = np.where(own == NO_KEY, 0, table[own])
    return own, albums[: len(track_ids)], popularity, train["playlist_id"].n_unique()


def _key(uri: str | None, name: str | None) -> tuple[str, str] | None:
    if uri:
        return ("uri", uri)
    folded = (name or "").strip().casefold()
    return ("name", folded) if folded else None


def _codes(keys: Sequence[object]) -> np.ndarray:
    numbers: dict[object, int] = {}
    return np.array([NO_KEY if key is None else numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
