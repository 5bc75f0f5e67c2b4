"""Playlists by the trained fusion: against one playlist at a time, and through the steps to ItemKNN's lists."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from training_world import TINY, make_inputs, write_world

from larp_core.config.encoders import FUSED
from larp_core.config.settings import Settings
from larp_core.config.stages import STAGES
from larp_core.encoders.embedded import Embedded
from larp_core.encoders.playlists import fuse_playlists
from larp_core.evaluation.holdouts import Holdouts
from larp_core.evaluation.recommenders.itemknn import rank
from larp_core.evaluation.vectors import PlaylistVectors, load_playlist_vectors
from larp_core.graph.job import Job
from larp_core.graph.registry import job_named
from larp_core.model.modeling_larp import LarpModel
from larp_core.model.pretrained import build_model
from larp_core.training.stages import run_stage, save_model

FUSION = dataclasses.replace(TINY, evaluation=dataclasses.replace(TINY.evaluation, playlist_vector="fusion"))


def make_embedded(num_tracks: int, width: int) -> Embedded:
    rng = np.random.default_rng(0)
    audio, text = rng.normal(size=(2, num_tracks, width)).astype(np.float32)
    has_audio, has_text = np.ones((2, num_tracks), bool)
    has_audio[1], has_text[2] = False, False
    audio[1], text[2] = 0, 0
    ids = np.arange(10, 10 + num_tracks, dtype=np.int32)
    return Embedded(ids, (audio + text) / 2, "", True, audio, text, has_audio, has_text)


@pytest.fixture(scope="module")
def model() -> LarpModel:
    """Its fusion is moved off the mean that it starts from."""
    built = build_model(TINY.model, 50, seed=0).eval()
    torch.nn.init.normal_(built.playlist_fusion.value.weight, std=0.3)
    return built


def test_fused_playlists_equal_one_at_a_time_without_padding(model: LarpModel) -> None:
    embedded = make_embedded(8, TINY.model.projection)
    seeds = [np.array([10, 11, 12, 16]), np.array([11]), np.array([99]), np.array([], np.int32), np.array([12, 99, 13])]
    vectors, known = fuse_playlists(model, embedded, seeds)
    assert known.tolist() == [True, True, False, False, True] and not vectors[~known].any()
    for playlist in np.flatnonzero(known):
        rows = [track - 10 for track in seeds[playlist].tolist() if track < 18]
        sides = []
        for own, other in (
            (embedded.audio_vectors, embedded.text_vectors),
            (embedded.text_vectors, embedded.audio_vectors),
        ):
            assert own is not None and other is not None
            tracks = torch.tensor(np.array([own[row] if own[row].any() else other[row] for row in rows]))
            with torch.no_grad():
                sides.append(model.playlist_fusion(tracks[None], torch.ones(1, len(rows), dtype=torch.bool))[0])
        np.testing.assert_allclose(vectors[playlist], (sides[0] + sides[1]).numpy() / 2, atol=1e-5)


def make_holdouts() -> Holdouts:
    ids = np.arange(10, 18, dtype=np.int32)
    return Holdouts(np.array([3, 5], np.int32), [ids[:2], ids[2:4]], [ids[4:5], ids[5:6]], ids)


def test_itemknn_takes_the_given_vector_and_the_mean_where_there_is_none() -> None:
    holdouts, rng = make_holdouts(), np.random.default_rng(1)
    vectors = rng.normal(size=(8, 4))
    given = PlaylistVectors(np.array([4, 5]), np.stack([rng.normal(size=4), 7 * vectors[7]]))
    ranked = rank(holdouts, holdouts.candidates, vectors, 8, playlists=given)
    by_mean = rank(holdouts, holdouts.candidates, vectors, 8)
    assert ranked[0].tolist() == by_mean[0].tolist()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest = holdouts.candidates[np.argsort(-unit @ unit[7])]
    assert [t for t in ranked[1].tolist() if t >= 0] == [t for t in nearest.tolist() if t not in (12, 13)]


def test_vectors_without_a_length_or_of_nobody_leave_the_mean() -> None:
    otherwise = np.eye(2)
    assert np.array_equal(PlaylistVectors(np.array([1]), np.zeros((1, 2))).of(np.array([1, 2]), otherwise), otherwise)
    assert np.array_equal(
        PlaylistVectors(np.array([], int), np.zeros((0, 2))).of(np.array([1, 2]), otherwise), otherwise
    )


def test_those_that_fuse_are_those_that_were_trained_to() -> None:
    assert set(FUSED) == {stage for stage in STAGES if STAGES[stage].fusion == "attention"}


def test_the_step_writes_held_out_playlists_where_the_recipe_asks_for_them(tmp_path: Path) -> None:
    settings = write_world(tmp_path, FUSION)
    inputs = make_inputs()
    trained, _ = run_stage(STAGES["larp_tpc_fusion"], inputs, FUSION, None)
    job = job_named("embeddings/larp_tpc_fusion", settings, "mpd")
    save_model(job.paths.model("larp_tpc_fusion"), trained, inputs.tokenizer, {})
    job.work()
    assert job.outputs == [
        job.paths.embeddings("larp_tpc_fusion"),
        job.paths.root / "embeddings" / "larp_tpc_fusion_playlists.parquet",
    ]
    playlists = load_playlist_vectors(job.outputs[1])
    assert playlists.playlist_ids.tolist() == [100, 101]
    assert playlists.vectors.shape == (2, TINY.model.projection) and np.isfinite(playlists.vectors).all()
    assert (
        pl.read_parquet_metadata(job.outputs[0])["weights_sha256"]
        == pl.read_parquet_metadata(job.outputs[1])["weights_sha256"]
    )
    plain = Job(job.step, Settings(tmp_path, TINY, ("mpd",)), "mpd")
    assert plain.outputs == job.outputs[:1] and plain.step.config(plain) == {}
    other = job_named("embeddings/larp_tpc", settings, "mpd")
    assert len(other.outputs) == 1
