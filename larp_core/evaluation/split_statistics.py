"""Sizes of a dataset's splits and how alike the tracks of a playlist sound (LARP table 1)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from larp_core.config.paths import DatasetPaths
from larp_core.evaluation.ranking import rows_of
from larp_core.evaluation.vectors import load_vectors

SPLITS = ("train", "valid", "test")
HOMOGENEITY_ENCODER = "larp_wtc"
AUDIO_COLUMN = "audio_vector"


def split_statistics(paths: DatasetPaths) -> pl.DataFrame:
    """One row a split: `split, num_tracks, num_playlists, tracks_per_playlist, playlists_per_track, homogeneity,
    num_playlists_heard`.

    A train playlist is its interactions with train tracks, a valid or test one its seeds and targets. The means are
    over all playlists with a track, and over all tracks of the split. Homogeneity is over test playlists alone and null
    where no playlist has two tracks with sound; `num_playlists_heard` counts the playlists that it rests on.
    """
    members = playlist_members(paths)
    tracks = _read_split(paths.split_tracks).group_by("split").len("num_tracks")
    sizes = members.group_by("split").agg(
        pl.len().alias("num_pairs"), pl.col("playlist_id").n_unique().alias("num_playlists")
    )
    value, num_heard = homogeneity(paths, members.filter(pl.col("split") == "test"))
    is_test = pl.col("split") == "test"
    return (
        pl.DataFrame({"split": SPLITS})
        .join(tracks, on="split", how="left", maintain_order="left")
        .join(sizes, on="split", how="left", maintain_order="left")
        .with_columns(pl.col("num_tracks", "num_pairs", "num_playlists").fill_null(0))
        .select(
            "split",
            pl.col("num_tracks").cast(pl.Int32),
            pl.col("num_playlists").cast(pl.Int32),
            tracks_per_playlist=_ratio("num_pairs", "num_playlists"),
            playlists_per_track=_ratio("num_pairs", "num_tracks"),
            homogeneity=pl.when(is_test).then(pl.lit(value, pl.Float64)),
            num_playlists_heard=pl.when(is_test).then(pl.lit(num_heard, pl.Int32)),
        )
    )


def playlist_members(paths: DatasetPaths) -> pl.DataFrame:
    """`split, playlist_id, track_id`, each pair once: what every playlist holds within its own split."""
    playlists, tracks = _read_split(paths.split_playlists), _read_split(paths.split_tracks)
    train = (
        pl.read_parquet(paths.interactions, columns=["playlist_id", "track_id"])
        .join(playlists.filter(pl.col("split") == "train"), on="playlist_id")
        .join(tracks, on=["track_id", "split"], how="semi")
    )
    held_out = pl.read_parquet(paths.holdouts, columns=["playlist_id", "track_id"]).join(playlists, on="playlist_id")
    columns = ["split", "playlist_id", "track_id"]
    return pl.concat([train.select(columns), held_out.select(columns)]).unique().sort(columns)


def homogeneity(paths: DatasetPaths, members: pl.DataFrame) -> tuple[float | None, int]:
    """Mean of `playlist_homogeneity`, and the number of playlists that it rests on."""
    values = list(playlist_homogeneity(paths, members).values())
    return (float(np.mean(values)) if values else None), len(values)


def playlist_homogeneity(paths: DatasetPaths, members: pl.DataFrame) -> dict[int, float]:
    """Playlist -> mean cosine of all pairs of its tracks' audio vectors.

    Audio vectors are `audio_vector` of `embeddings/larp_wtc.parquet`; tracks without one take no part, and neither do
    playlists with fewer than two. For n unit vectors u the mean over pairs is (|sum u|^2 - n) / (n (n - 1)).
    """
    track_ids, vectors = load_vectors(paths.embeddings(HOMOGENEITY_ENCODER), AUDIO_COLUMN)
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    unit = vectors[norms[:, 0] > 0] / norms[norms[:, 0] > 0]
    rows = rows_of(track_ids[norms[:, 0] > 0], members["track_id"].to_numpy())
    means = {}
    heard = members.with_columns(row=pl.Series(rows)).filter(pl.col("row") >= 0)
    for (playlist_id,), group in heard.partition_by("playlist_id", as_dict=True, maintain_order=True).items():
        n = group.height
        if n >= 2:
            total = unit[group["row"].to_numpy()].sum(axis=0)
            means[int(playlist_id)] = float((total @ total - n) / (n * (n - 1)))
    return means


def _read_split(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path).with_columns(pl.col("split").cast(pl.String))


def _ratio(above: str, below: str) -> pl.Expr:
    return pl.when(pl.col(below) > 0).then(pl.col(above) / pl.col(below))
