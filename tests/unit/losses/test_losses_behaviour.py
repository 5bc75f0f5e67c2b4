"""Direction, gradients and edge cases of the losses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from loss_batches import make_batch, make_features
from torch.nn import functional as F

from larp_core.losses.contrast import Keys, contrast, momentum_soft_labels
from larp_core.losses.tpc import track_playlist_contrast
from larp_core.losses.ttc import track_track_contrast
from larp_core.losses.wtc import within_track_contrast


def unit(*values: float) -> torch.Tensor:
    return F.normalize(torch.tensor(values, dtype=torch.float32), dim=-1)


def keys_of(vectors: torch.Tensor, positives: list[list[int]], takes_part: list[list[int]] | None = None) -> Keys:
    chosen = torch.tensor(positives, dtype=torch.bool)
    part = torch.tensor(takes_part, dtype=torch.bool) if takes_part else torch.ones_like(chosen)
    return Keys(vectors, chosen, part)


def test_a_near_positive_costs_less_than_a_far_one() -> None:
    keys = keys_of(torch.stack([unit(1, 0), unit(0, 1)]), [[1, 0]])
    near, far = contrast(unit(1, 0.1)[None], keys, 0.1), contrast(unit(0.1, 1)[None], keys, 0.1)
    assert near < far


def test_several_positives_share_the_mass() -> None:
    vectors = torch.stack([unit(1, 0), unit(1, 0), unit(0, 1)])
    cost = contrast(unit(1, 0)[None], keys_of(vectors, [[1, 1, 0]]), 1.0)
    probabilities = torch.tensor([1.0, 1.0, 0.0]).softmax(0)
    assert cost.item() == pytest.approx(-torch.log(probabilities[0]).item(), abs=1e-6)


def test_columns_that_take_no_part_change_nothing() -> None:
    vectors = torch.stack([unit(1, 0), unit(0, 1), unit(1, 0.01)])
    with_extra = contrast(unit(1, 0)[None], keys_of(vectors, [[1, 0, 0]], [[1, 1, 0]]), 0.1)
    without = contrast(unit(1, 0)[None], keys_of(vectors[:2], [[1, 0]]), 0.1)
    assert with_extra.item() == pytest.approx(without.item())


def test_no_positive_anywhere_is_zero_with_a_zero_gradient() -> None:
    query = unit(1, 0)[None].requires_grad_()
    cost = contrast(query, keys_of(unit(0, 1)[None], [[0]]), 0.1)
    cost.backward()
    assert cost.item() == 0.0
    assert query.grad is not None and query.grad.abs().sum() == 0


def test_soft_labels_move_the_target_towards_the_momentum_encoder() -> None:
    vectors = torch.stack([unit(1, 0), unit(0, 1)])
    keys = keys_of(vectors, [[1, 0]])
    momentum = unit(0, 1)[None]
    soft = momentum_soft_labels(momentum, keys, 0.1, 0.4)
    assert soft is not None and soft.sum().item() == pytest.approx(0.4)
    query = unit(0, 1)[None]
    assert contrast(query, keys, 0.1, soft) < contrast(query, keys, 0.1)
    assert momentum_soft_labels(momentum, keys, 0.1, 0.0) is None


@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1.0])
def test_label_smoothing_is_the_library_one_over_the_columns_that_take_part(smoothing: float) -> None:
    rng = torch.Generator().manual_seed(0)
    queries, vectors = (F.normalize(torch.randn(n, 4, generator=rng), dim=1) for n in (3, 5))
    positives = [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0]]
    takes_part = [[1, 1, 1, 1, 0]] * 3
    ours = contrast(queries, keys_of(vectors, positives, takes_part), 0.1, label_smoothing=smoothing)
    logits = queries @ vectors[:4].T / 0.1
    theirs = F.cross_entropy(logits, torch.arange(3), label_smoothing=smoothing)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)


def test_only_online_features_receive_a_gradient() -> None:
    batch, _ = make_batch(seed=6)
    playlist = make_features(np.random.default_rng(1), batch.num_pairs, 6)
    total = within_track_contrast(batch) + track_track_contrast(batch) + track_playlist_contrast(batch, playlist)
    total.backward()
    assert batch.online.audio.grad is not None and batch.online.text.grad is not None
    assert batch.momentum.audio.grad is None and batch.momentum.text.grad is None
    assert not batch.queue.audio.requires_grad


def test_ttc_costs_less_when_partners_agree() -> None:
    batch, _ = make_batch(seed=7, diagonal=True)
    anchors = batch.online.audio.detach()[: batch.num_pairs]
    agreeing = torch.cat([anchors, anchors])
    features = dataclasses.replace(batch.online, audio=agreeing, text=agreeing)
    assert track_track_contrast(dataclasses.replace(batch, online=features, keys=features)) < track_track_contrast(
        batch
    )


def test_caption_only_tracks_are_contrasted_by_their_captions() -> None:
    batch, _ = make_batch(seed=8)
    nothing = torch.zeros_like(batch.online.has_audio)
    captions = dataclasses.replace(batch.online, has_audio=nothing)
    silent = dataclasses.replace(batch, online=captions, keys=captions)
    assert within_track_contrast(silent).item() == 0.0
    cost = track_track_contrast(silent)
    cost.backward()
    assert torch.isfinite(cost) and cost > 0
    assert batch.online.text.grad is not None and batch.online.text.grad.abs().sum() > 0
    assert batch.online.audio.grad is None or batch.online.audio.grad.abs().sum() == 0
