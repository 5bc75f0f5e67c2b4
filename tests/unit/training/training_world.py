"""A few tracks with captions, some with clips, and a train graph: enough to run every stage in a second."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import torch

from larp_core.benchmark.holdouts import Holdouts
from larp_core.data.csr import TrainGraph
from larp_core.model.vocabulary import train_wordpiece
from larp_core.recipes import SMOKE, Recipe
from larp_core.training.stages import StageInputs
from larp_core.training.track_data import TrackData

NUM_TRACKS, NUM_PLAYLISTS, MAX_TOKENS = 24, 6, 12
WORDS = ("river", "radio", "stone", "night", "dance", "blue")

RECIPE: Recipe = dataclasses.replace(
    SMOKE,
    model=dataclasses.replace(SMOKE.model, queue_size=32),
    training=dataclasses.replace(SMOKE.training, batch_size=4, precision="fp32"),
)


def make_graph() -> TrainGraph:
    """Two genres; each playlist holds tracks of one."""
    rng = np.random.default_rng(3)
    members = [np.sort(rng.choice(np.arange(NUM_TRACKS)[p % 2 :: 2], 8, replace=False)) for p in range(NUM_PLAYLISTS)]
    frame = pl.DataFrame({"playlist": np.repeat(np.arange(NUM_PLAYLISTS), 8), "track": np.concatenate(members)})
    return graph_of(frame)


def graph_of(edges: pl.DataFrame) -> TrainGraph:
    """A TrainGraph from rows `playlist, track` of dense indices, by way of a DuckDB file as the pipeline writes it."""
    import tempfile

    import duckdb

    from larp_core.data.csr import load_train_graph

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.duckdb"
        with duckdb.connect(path) as connection:
            rows = edges.select(
                pl.col("playlist").cast(pl.Int32).alias("playlist_id"),
                pl.col("track").cast(pl.Int32).alias("track_id"),
                pl.lit("train").alias("split"),
            ).to_arrow()
            connection.register("edges", rows)
            connection.execute("create table interactions as select * from edges")
            connection.execute("create table tracks as select distinct track_id, split from edges")
            connection.execute("create table playlists as select distinct playlist_id, split from edges")
        return load_train_graph(path)


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
