"""A few tracks with captions, some with clips, and a train graph: enough to run every stage in a second."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import torch

from larp_core.config.recipes import SMOKE, Recipe
from larp_core.config.settings import Settings
from larp_core.config.stages import STAGES
from larp_core.data.train_graph import TrainGraph, make_train_graph
from larp_core.evaluation.holdouts import Holdouts
from larp_core.graph.registry import job_named
from larp_core.model.vocabulary import train_wordpiece
from larp_core.runtime.files import write_json, write_parquet
from larp_core.training.stages import StageInputs
from larp_core.training.track_data import TrackData

NUM_TRACKS, NUM_PLAYLISTS, MAX_TOKENS = 24, 6, 12
WORDS = ("river", "radio", "stone", "night", "dance", "blue")

RECIPE: Recipe = dataclasses.replace(
    SMOKE,
    model=dataclasses.replace(SMOKE.model, queue_size=32),
    training=dataclasses.replace(SMOKE.training, batch_size=4, precision="fp32"),
)

TINY: Recipe = dataclasses.replace(
    RECIPE,
    model=dataclasses.replace(
        RECIPE.model,
        audio=dataclasses.replace(RECIPE.model.audio, width=16, depths=(1, 1), heads=(1, 2)),
        text=dataclasses.replace(RECIPE.model.text, width=32, heads=2),
        projection=16,
    ),
)
"""Where only the loop is of interest."""


def only(**epochs: int) -> tuple[tuple[str, int], ...]:
    """`training.epochs` with these, and none for every other stage."""
    return tuple((stage, epochs.get(stage, 0)) for stage in STAGES)


def make_edges() -> pl.DataFrame:
    """Rows `playlist_id, track_id`: two genres; each playlist holds tracks of one."""
    rng = np.random.default_rng(3)
    members = [np.sort(rng.choice(np.arange(NUM_TRACKS)[p % 2 :: 2], 8, replace=False)) for p in range(NUM_PLAYLISTS)]
    return pl.DataFrame(
        {"playlist_id": np.repeat(np.arange(NUM_PLAYLISTS), 8), "track_id": np.concatenate(members)},
        schema={"playlist_id": pl.Int32, "track_id": pl.Int32},
    )


def make_graph() -> TrainGraph:
    edges = make_edges()
    return make_train_graph(edges["playlist_id"].to_numpy(), edges["track_id"].to_numpy())


def write_world(data_dir: Path, recipe: Recipe = TINY) -> Settings:
    """The files that a stage reads, with the stamps of the steps that would have written them.

    Train tracks are those of `make_inputs`; twelve more are the validation split, two playlists of six.
    """
    settings = Settings(data_dir, recipe, ("mpd",))
    paths = settings.paths("mpd")
    edges, num_tracks = make_edges(), NUM_TRACKS + 12
    in_train = np.isin(np.arange(NUM_TRACKS), edges["track_id"].to_numpy())
    splits = [*("train" if there else "none" for there in in_train), *["valid"] * 12]
    ids = pl.DataFrame({"track_id": np.arange(num_tracks, dtype=np.int32)})
    write_parquet(ids.with_columns(split=pl.Series(splits)), paths.split_tracks)
    write_parquet(ids.with_columns(track_uri=pl.format("uri{}", "track_id")), paths.tracks)
    captions = pl.Series([f"The track {WORDS[n % 2]} {WORDS[n % 6]} by {WORDS[n % 2]}" for n in range(num_tracks)])
    write_parquet(ids.with_columns(caption=captions), paths.captions)
    held_out = pl.DataFrame(
        {
            "playlist_id": np.repeat(np.array([100, 101], np.int32), 6),
            "track_id": np.arange(NUM_TRACKS, num_tracks, dtype=np.int32).reshape(6, 2).T.ravel(),
            "role": ["seed", "seed", "seed", "target", "target", "target"] * 2,
        }
    )
    write_parquet(held_out, paths.holdouts)
    playlists = pl.DataFrame(
        {"playlist_id": [100, 101], "split": ["valid"] * 2}, schema_overrides={"playlist_id": pl.Int32}
    )
    write_parquet(playlists, paths.split_playlists)
    rng = np.random.default_rng(0)
    mels = rng.normal(size=(num_tracks, 1001, 64)).astype(np.float16)
    mels[::2, :, :32] += 3
    np.save(paths.mels, mels)
    write_parquet(ids.with_columns(row="track_id"), paths.mel_rows)
    with duckdb.connect(paths.graph) as connection:
        connection.register("edges", edges.with_columns(split=pl.lit("train")).to_arrow())
        connection.execute("create table interactions as select * from edges")
    for name in ("captions", "mels", "cold_start_split", "interaction_graph"):
        write_json({"digest": name}, job_named(name, settings, "mpd").stamp)
    return settings


def make_data(num_tracks: int, mels: np.ndarray, *, without_audio: int = 0, without_text: int = 0) -> TrackData:
    """Tracks whose caption and sound tell their genre; the first `without_audio` are silent, the last lack captions."""
    captions = [f"The track {WORDS[n % 2]} {WORDS[n % 6]} by {WORDS[n % 2]}" for n in range(num_tracks)]
    tokens = train_wordpiece(captions, 100)(
        captions, padding="max_length", truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
    )
    rows = np.arange(num_tracks)
    rows[:without_audio] = -1
    has_text = torch.arange(num_tracks) < num_tracks - without_text
    return TrackData(
        track_ids=np.arange(num_tracks, dtype=np.int32),
        input_ids=tokens["input_ids"],
        attention_mask=tokens["attention_mask"] * has_text[:, None],
        has_text=has_text,
        mel_rows=rows,
        mels=mels,
    )


def make_inputs(*, without_audio: int = 0, without_text: int = 0) -> StageInputs:
    rng = np.random.default_rng(0)
    mels = rng.normal(size=(NUM_TRACKS, 1001, 64)).astype(np.float16)
    mels[::2, :, :32] += 3
    train = make_data(NUM_TRACKS, mels, without_audio=without_audio, without_text=without_text)
    valid = make_data(12, mels[:12])
    tokenizer = train_wordpiece(["The track river radio by river stone night dance blue"] * 2, 100)
    evens, odds = np.arange(0, 12, 2, dtype=np.int32), np.arange(1, 12, 2, dtype=np.int32)
    holdouts = Holdouts(
        playlist_ids=np.array([0, 1], dtype=np.int32),
        seeds=[evens[:3], odds[:3]],
        targets=[evens[3:], odds[3:]],
        candidates=np.arange(12, dtype=np.int32),
    )
    return StageInputs(tokenizer, train, valid, make_graph(), holdouts)
