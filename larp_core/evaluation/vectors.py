"""Reading embeddings: `embeddings/<encoder>.parquet` with `track_id` and one vector a track."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl


def load_vectors(path: Path, column: str = "vector", id_column: str = "track_id") -> tuple[np.ndarray, np.ndarray]:
    """Track ids int32 [M] and their vectors float32 [M, D], without the tracks whose vector is null.

    `column` is a list or an array of floats. D is 0 where no track has a vector.

    Raises:
        ValueError: vectors of different lengths, or a track that stands twice.
    """
    frame = pl.read_parquet(path, columns=[id_column, column]).drop_nulls(column)
    if frame[id_column].is_duplicated().any():
        raise ValueError(f"{path}: a {id_column} stands twice")
    track_ids = frame[id_column].cast(pl.Int32).to_numpy()
    if frame.is_empty():
        return track_ids, np.empty((0, 0), np.float32)
    vectors = frame[column]
    if isinstance(vectors.dtype, pl.Array):
        return track_ids, vectors.cast(pl.Array(pl.Float32, vectors.dtype.size)).to_numpy()
    lengths = vectors.list.len().unique()
    if len(lengths) > 1:
        raise ValueError(f"{path}: column {column} holds vectors of different lengths")
    return track_ids, vectors.cast(pl.List(pl.Float32)).list.to_array(int(lengths[0])).to_numpy()
