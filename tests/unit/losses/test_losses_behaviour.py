"""Direction, gradients and edge cases of the losses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_batches import make_batch, make_features
from torch.nn import functional as F

from larp_core.losses import contrast as contrast_module
from larp_core.losses.contrast import Keys, contrast, momentum_soft_labels
from larp_core.losses.encoded import EncodedBatch, Features
from larp_core.losses.hard_negatives import TextHardness
from larp_core.losses.tpc import track_playlist_contrast
from larp_core.losses.ttc import track_track_contrast
from larp_core.losses.wtc import within_track_contrast

HARD = TextHardness(hardness=3.0, twins=0.6)


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


@pytest.mark.parametrize(
    "options", [{}, dict(queue_positives="masked"), dict(mask_false_negatives=True), dict(text=HARD)]
)
def test_a_long_queue_multiplied_apart_gives_the_same_losses_and_gradients(
    options: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for long in (10_000, 1):
        monkeypatch.setattr(contrast_module, "LONG_QUEUE", long)
        batch, _ = make_batch(seed=17, missing=0.3, soft_label_weight=0.4, **options)
        playlist = make_features(np.random.default_rng(1), batch.num_pairs, 6)
        losses = within_track_contrast(batch), track_track_contrast(batch), track_playlist_contrast(batch, playlist)
        torch.stack(losses).sum().backward()
        found.append((torch.stack(losses).detach(), batch.online.audio.grad, batch.online.text.grad))
    assert all(torch.allclose(together, apart, atol=1e-12) for together, apart in zip(*found, strict=True))


def test_only_online_features_receive_a_gradient() -> None:
    batch, _ = make_batch(seed=6)
    playlist = make_features(np.random.default_rng(1), batch.num_pairs, 6)
    total = within_track_contrast(batch) + track_track_contrast(batch) + track_playlist_contrast(batch, playlist)
    total.backward()
    assert batch.online.audio.grad is not None and batch.online.text.grad is not None
    assert batch.momentum.audio.grad is None and batch.momentum.text.grad is None
    assert not batch.queue.audio.requires_grad


@pytest.mark.parametrize("diagonal", [False, True])
def test_ttc_costs_less_when_partners_agree(diagonal: bool) -> None:
    batch, _ = make_batch(seed=7, diagonal=diagonal)
    alone = torch.eye(batch.num_pairs, dtype=torch.bool)
    batch = dataclasses.replace(batch, co_occurs=lambda left, right: own_pairs(batch, alone, left, right))
    anchors = batch.online.audio.detach()[: batch.num_pairs]
    agreeing = torch.cat([anchors, anchors])
    features = dataclasses.replace(batch.online, audio=agreeing, text=agreeing)
    assert track_track_contrast(dataclasses.replace(batch, online=features, keys=features)) < track_track_contrast(
        batch
    )


def own_pairs(batch: EncodedBatch, alone: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Every track goes with its own partner only, so that agreeing with it is all that is asked."""
    return alone if len(right) == batch.num_pairs else torch.zeros(len(left), len(right), dtype=torch.bool)


def test_wtc_costs_less_when_a_clip_agrees_with_its_caption() -> None:
    batch, _ = make_batch(seed=9)
    agreeing = dataclasses.replace(batch.online, text=batch.online.audio)
    assert within_track_contrast(dataclasses.replace(batch, online=agreeing, keys=agreeing)) < within_track_contrast(
        batch
    )


def test_tpc_costs_less_when_a_track_lies_with_its_playlist() -> None:
    batch, membership = make_batch(seed=10)
    far = make_features(np.random.default_rng(1), batch.num_pairs, 6)
    shared = torch.from_numpy(membership)[batch.playlists][:, batch.tracks[batch.anchors]].double()
    audio, text = (shared @ side[batch.anchors].detach() for side in (batch.online.audio, batch.online.text))
    near = dataclasses.replace(far, audio=F.normalize(audio, dim=-1), text=F.normalize(text, dim=-1))
    assert track_playlist_contrast(batch, near) < track_playlist_contrast(batch, far)


@pytest.mark.parametrize("diagonal", [False, True])
def test_a_track_with_neither_modality_asks_nothing_and_is_no_column(diagonal: bool) -> None:
    """Whatever stands in its rows: the same loss, so no zeros pass for features."""
    batch, _ = make_batch(seed=11, diagonal=diagonal)
    playlist = make_features(np.random.default_rng(1), batch.num_pairs, 6)
    there = torch.ones(len(batch.tracks), dtype=torch.bool)
    there[2] = False
    losses = []
    for filler in (0.0, 5.0):
        rows = (
            torch.where(there[:, None], batch.online.audio, filler),
            torch.where(there[:, None], batch.online.text, filler),
        )
        features = dataclasses.replace(batch.online, audio=rows[0], text=rows[1], has_audio=there, has_text=there)
        step = dataclasses.replace(batch, online=features, keys=features)
        losses.append(
            [within_track_contrast(step), track_track_contrast(step), track_playlist_contrast(step, playlist)]
        )
    assert [loss.item() for loss in losses[0]] == pytest.approx([loss.item() for loss in losses[1]])


@given(
    st.integers(0, 10_000),
    st.sampled_from(["negative", "masked"]),
    st.booleans(),
    st.sampled_from([0.0, 0.4]),
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=10, max_size=10),
    st.lists(st.booleans(), min_size=5, max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_whatever_is_missing_losses_and_gradients_are_finite(
    seed: int, queue_positives: str, diagonal: bool, soft: float, masks: list[tuple[bool, bool]], known: list[bool]
) -> None:
    batch, _ = make_batch(seed, queue_positives=queue_positives, diagonal=diagonal, soft_label_weight=soft, missing=0.4)
    has_audio, has_text = (torch.tensor([mask[side] for mask in masks]) for side in (0, 1))
    leaves = [
        torch.randn(10, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + n)) for n in (0, 1)
    ]
    audio, text = (F.normalize(leaf.requires_grad_(), dim=-1) for leaf in leaves)
    online = Features(audio * has_audio[:, None], text * has_text[:, None], has_audio, has_text)
    there = torch.tensor(known)
    playlist = dataclasses.replace(make_features(np.random.default_rng(seed), 5, 6), has_audio=there, has_text=there)
    slow = dataclasses.replace(online, audio=online.audio.detach(), text=online.text.detach())
    step = dataclasses.replace(batch, online=online, keys=online if not diagonal else slow, momentum=slow)
    losses = [within_track_contrast(step), track_track_contrast(step), track_playlist_contrast(step, playlist)]
    assert all(torch.isfinite(loss) and loss >= 0 for loss in losses)
    total = torch.stack(losses).sum()
    if total.requires_grad:
        total.backward()
    for leaf, present in ((leaves[0], has_audio), (leaves[1], has_text)):
        if leaf.grad is not None:
            assert torch.isfinite(leaf.grad).all()
            assert not leaf.grad[~present].any()


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
