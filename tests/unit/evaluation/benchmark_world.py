"""A tiny dataset written as Parquet by hand: two kinds of music, playlists of one kind, embeddings, training curves."""

from __future__ import annotations

import numpy as np
import polars as pl

from larp_core.config.encoders import CATALOGUE
from larp_core.config.paths import DatasetPaths
from larp_core.runtime.files import write_json, write_parquet

SPLIT = pl.Enum(("train", "valid", "test"))
NUM_TRACKS = {"train": 60, "valid": 30, "test": 60}
NUM_PLAYLISTS = {"train": 6, "valid": 5, "test": 24}
TRACKS_A_PLAYLIST = 10


def write_split(paths: DatasetPaths, seed: int = 0) -> None:
    """Playlists hold tracks of one kind (track_id % 2), the first half of them seeds."""
    rng = np.random.default_rng(seed)
    tracks, playlists, holdouts, interactions = [], [], [], []
    for split, num_playlists in NUM_PLAYLISTS.items():
        first = len(tracks)
        tracks += [(first + i, split) for i in range(NUM_TRACKS[split])]
        for _ in range(num_playlists):
            playlist_id = len(playlists)
            playlists.append((playlist_id, split))
            kind = playlist_id % 2
            pool = [track_id for track_id, _ in tracks[first:] if track_id % 2 == kind]
            members = rng.choice(pool, TRACKS_A_PLAYLIST, replace=False).tolist()
            interactions += [(playlist_id, track_id, position) for position, track_id in enumerate(members)]
            if split != "train":
                half = TRACKS_A_PLAYLIST // 2
                holdouts += [(playlist_id, t, "seed" if i < half else "target") for i, t in enumerate(members)]
    ids = {"playlist_id": pl.Int32, "track_id": pl.Int32}
    write_parquet(pl.DataFrame(tracks, schema={"track_id": pl.Int32, "split": SPLIT}, orient="row"), paths.split_tracks)
    write_parquet(
        pl.DataFrame(playlists, schema={"playlist_id": pl.Int32, "split": SPLIT}, orient="row"), paths.split_playlists
    )
    write_parquet(pl.DataFrame(holdouts, schema={**ids, "role": pl.String}, orient="row"), paths.holdouts)
    write_parquet(pl.DataFrame(interactions, schema={**ids, "position": pl.Int32}, orient="row"), paths.interactions)


def write_names(paths: DatasetPaths) -> None:
    """Ten artists, each of one kind of music; captions name the artist."""
    track_ids = range(sum(NUM_TRACKS.values()))
    artists = [f"Artist {t % 10}" for t in track_ids]
    names = {
        "track_id": track_ids,
        "artist_uri": [f"uri{t % 10}" for t in track_ids],
        "artist_name": artists,
        "album_uri": [None for _ in track_ids],
        "album_name": [f"Album {t % 20}" for t in track_ids],
    }
    schema = {"track_id": pl.Int32, **dict.fromkeys(list(names)[1:], pl.String)}
    write_parquet(pl.DataFrame(names, schema=schema), paths.metadata)
    captions = [f"The track song{t} by artist{t % 10} on album kind{'odd' if t % 2 else 'even'}" for t in track_ids]
    frame = pl.DataFrame({"track_id": track_ids, "caption": captions}, schema_overrides={"track_id": pl.Int32})
    write_parquet(frame, paths.captions)


def write_embeddings(paths: DatasetPaths, encoder: str, signal: float, *, pretrained: bool, seed: int = 0) -> None:
    """Noise and `signal` times the kind of music. Every seventh track has no audio vector, track 91 none at all."""
    num_tracks = sum(NUM_TRACKS.values())
    rng = np.random.default_rng([seed, len(encoder)])
    vectors = np.zeros((num_tracks, next(iter(CATALOGUE[encoder].dimensions), 4)))
    vectors[:, :4] = rng.normal(size=(num_tracks, 4))
    vectors[:, 0] += np.where(np.arange(num_tracks) % 2 == 1, signal, -signal)
    audio = [None if t % 7 == 0 else vector for t, vector in enumerate(vectors.tolist())]
    frame = pl.DataFrame(
        {"track_id": range(num_tracks), "vector": vectors.tolist(), "audio_vector": audio},
        schema={"track_id": pl.Int32, "vector": pl.List(pl.Float32), "audio_vector": pl.List(pl.Float32)},
    ).with_columns(pl.when(pl.col("track_id") != 91).then("vector"))
    metadata = {"pretrained": str(pretrained).lower(), "weights_sha256": "0" * 64}
    write_parquet(frame, paths.embeddings(encoder), metadata=metadata)


def write_missing(paths: DatasetPaths, encoder: str) -> None:
    """An encoder whose weights were not found."""
    nothing = pl.DataFrame(schema={"track_id": pl.Int32, "vector": pl.List(pl.Float32)})
    write_parquet(nothing, paths.embeddings(encoder), metadata={"missing": CATALOGUE[encoder].missing})


def write_training(paths: DatasetPaths, encoder: str, recall: list[float], best_epoch: int) -> None:
    curve = [
        {
            "epoch": epoch,
            "loss": None if epoch == 0 else 5.0 / epoch,
            "losses": {},
            "valid_recall_at_10": value,
            "seconds": 2.0 * epoch,
            "tracks_per_second": 100.0,
        }
        for epoch, value in enumerate(recall)
    ]
    record = {"encoder": encoder, "best_epoch": best_epoch, "curve": curve, "random_recall_at_10": 0.019}
    write_json(record, paths.model(encoder) / "training.json")
