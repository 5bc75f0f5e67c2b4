"""A whole step of stage 3: what is learned from, and what only serves as a target or a cache."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from training_world import RECIPE, make_inputs, only

from larp_core.config.stages import STAGES
from larp_core.training.objective import LarpObjective
from larp_core.training.sampler import Sampler
from larp_core.training.stages import StageInputs, run_stage
from larp_core.training.track_data import TrackBatch


@pytest.fixture(scope="module")
def stepped() -> tuple[LarpObjective, StageInputs, np.ndarray, TrackBatch, torch.Tensor]:
    """The objective after one backward pass, that step's tracks and batch, and the tables' audio before."""
    inputs = make_inputs(without_audio=3, without_text=3)
    model, _ = run_stage(STAGES["larp_ttc"], inputs, dataclasses.replace(RECIPE, training=short()), None)
    objective = LarpObjective(model, STAGES["larp_tpc_fusion"], inputs.graph, RECIPE.model, short()).train()
    objective.prepare(inputs.train)
    before = objective.tables.audio.clone()
    draw = next(iter(Sampler(inputs.graph, np.arange(24), 4, pairs=True, num_neighbours=3, seed=1).epoch(1)))
    batch = inputs.train.batch(draw.tracks)
    losses = objective(draw, batch, 0.0)
    torch.stack(list(losses.values())).sum().backward()
    return objective, inputs, draw.tracks, batch, before


def short() -> object:
    return dataclasses.replace(RECIPE.training, epochs=only(larp_ttc=1))


def test_towers_projections_and_fusion_learn(stepped: tuple) -> None:
    objective = stepped[0]
    for part in (objective.model.audio_projection, objective.model.text_projection, objective.model.playlist_fusion):
        assert all(p.grad is not None and torch.isfinite(p.grad).all() and p.grad.any() for p in part.parameters())


def test_momentum_encoder_queue_and_tables_do_not(stepped: tuple) -> None:
    objective = stepped[0]
    assert all(p.grad is None and not p.requires_grad for p in objective.momentum.parameters())
    cached = (objective.queue.audio, objective.queue.text, objective.tables.audio, objective.tables.text)
    assert not any(tensor.requires_grad for tensor in cached)


def test_tables_hold_the_latest_features_of_the_steps_tracks_and_the_old_ones_of_all_others(stepped: tuple) -> None:
    objective, inputs, tracks, _, before = stepped
    changed = (objective.tables.audio != before).any(1)
    seen = torch.zeros(24, dtype=torch.bool)
    seen[torch.from_numpy(tracks)] = True
    assert not changed[~seen].any()
    has_audio = torch.from_numpy(inputs.train.mel_rows >= 0)
    assert changed[seen & has_audio].all()
    assert torch.equal(objective.tables.has_audio, has_audio)
    lengths = objective.tables.audio.norm(dim=1)
    assert torch.allclose(lengths[has_audio], torch.ones(int(has_audio.sum())), atol=1e-5)
    assert not lengths[~has_audio].any()


def test_the_queue_holds_the_momentum_encoders_features(stepped: tuple) -> None:
    objective, _, tracks, batch, _ = stepped
    assert objective.queue.tracks[: len(tracks)].tolist() == tracks.tolist()
    assert objective.queue.has_audio[: len(tracks)].tolist() == batch.has_audio.tolist()
    lengths = objective.queue.text[: len(tracks)].norm(dim=1)
    assert torch.allclose(lengths, batch.has_text.float(), atol=1e-5)
