"""What every format is written from: pairs with split and role, playlists and tracks by number, content vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from larp_core.config.paths import DatasetPaths
from larp_core.evaluation.ranking import rows_of
from larp_core.evaluation.split_statistics import playlist_members
from larp_core.evaluation.vectors import MISSING, load_vectors
from larp_core.runtime.errors import UserError

TRAIN, SEED, TARGET = "train", "seed", "target"


@dataclass(frozen=True)
class Rows:
    """One dataset's split, with playlists and tracks numbered from 0.

    Attributes:
        pairs: `user, item` int64, `split` (`train, valid, test`), `role` (`train`, else `seed` or `target`).
        users: `user, playlist_id`, by number; items: `item, track_id, track_uri, track_name, artist_name`, by number.
        vectors: name -> float32 [items, D]: `vector`, and `audio_vector`, `text_vector` where the encoder has them;
            zeros where a track has none.
        num_without_vector: items whose `vector` is zeros.
    """

    pairs: pl.DataFrame
    users: pl.DataFrame
    items: pl.DataFrame
    vectors: dict[str, np.ndarray]
    num_without_vector: int

    def of(self, split: str, *roles: str) -> pl.DataFrame:
        return self.pairs.filter(pl.col("split") == split, pl.col("role").is_in(roles)).select("user", "item")


def load_rows(paths: DatasetPaths, encoder: str) -> Rows:
    """Reads the split, the names and `embeddings/<encoder>.parquet`.

    Raises:
        UserError: no split yet, no such embeddings, or an encoder without weights.
    """
    embeddings = paths.embeddings(encoder)
    for path in (paths.split_tracks, embeddings):
        if not path.exists():
            raise UserError(f"{path} is not there; run the pipeline first, or choose another --encoder")
    if missing := pl.read_parquet_metadata(embeddings).get(MISSING):
        raise UserError(f"{embeddings} holds no vectors: {missing}; choose another --encoder")
    members = playlist_members(paths)
    roles = pl.read_parquet(paths.holdouts).select("playlist_id", "track_id", "role")
    pairs = members.join(roles, on=["playlist_id", "track_id"], how="left").with_columns(
        pl.col("role").cast(pl.String).fill_null(TRAIN)
    )
    tracks = _numbered_tracks(paths, pairs)
    users = pairs.select("playlist_id").unique().sort("playlist_id").with_row_index("user")
    names = pl.read_parquet(paths.metadata, columns=["track_id", "track_uri", "track_name", "artist_name"])
    items = tracks.join(names, on="track_id", how="left", maintain_order="left").with_columns(
        pl.col("item").cast(pl.Int64)
    )
    numbered = pairs.join(users, on="playlist_id").join(tracks, on="track_id")
    numbered = numbered.select(pl.col("user", "item").cast(pl.Int64), "split", "role").sort("user", "item")
    vectors = _all_vectors(paths, encoder, items["track_id"].to_numpy())
    without = int((~vectors["vector"].any(axis=1)).sum())
    return Rows(numbered, users.with_columns(pl.col("user").cast(pl.Int64)), items, vectors, without)


def _numbered_tracks(paths: DatasetPaths, pairs: pl.DataFrame) -> pl.DataFrame:
    """`item, track_id`: tracks that are nobody's training pair or target come first, since readers take the greatest
    number that they meet for the last one."""
    met = pairs.filter(pl.col("role") != SEED)["track_id"].unique()
    tracks = pl.read_parquet(paths.split_tracks).select("track_id")
    by_use = tracks.sort(pl.col("track_id").is_in(met.implode()), "track_id")
    return by_use.with_row_index("item")


def _all_vectors(paths: DatasetPaths, encoder: str, track_ids: np.ndarray) -> dict[str, np.ndarray]:
    columns = pl.read_parquet_schema(paths.embeddings(encoder))
    tables: dict[str, np.ndarray] = {}
    for name in ("vector", "audio_vector", "text_vector"):
        if name in columns:
            ids, vectors = load_vectors(paths.embeddings(encoder), name)
            rows = rows_of(ids, track_ids)
            table = np.zeros((len(track_ids), vectors.shape[1]), np.float32)
            table[rows >= 0] = vectors[rows[rows >= 0]]
            tables[name] = table
    return tables
