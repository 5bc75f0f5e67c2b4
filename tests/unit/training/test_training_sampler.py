from __future__ import annotations

import itertools

import numpy as np
import pytest

from larp_core.data.train_graph import TrainGraph
from larp_core.training.sampler import Sampler
from larp_core.training.schedule import cosine_with_warmup


def make_sampler(graph: TrainGraph, **changes: object) -> Sampler:
    options = dict(anchors=graph.anchors, batch_size=3, pairs=True, num_neighbours=2, seed=5) | changes
    return Sampler(graph, **options)  # type: ignore[arg-type]


def test_an_epoch_visits_every_anchor_at_most_once(train_graph: TrainGraph) -> None:
    sampler = make_sampler(train_graph)
    anchors = np.concatenate([draw.tracks[:3] for draw in sampler.epoch(1)])
    assert len(anchors) == sampler.steps_per_epoch * 3 == len(np.unique(anchors))
    assert len(train_graph.anchors) - len(anchors) < 3


def test_partners_and_neighbours_share_the_drawn_playlist(train_graph: TrainGraph) -> None:
    for draw in make_sampler(train_graph).epoch(2):
        for anchor, partner, playlist, neighbours in zip(
            draw.tracks[:3], draw.tracks[3:], draw.playlists, draw.neighbours, strict=True
        ):
            members = set(train_graph.tracks_of(playlist).tolist())
            assert {anchor, partner} <= members and anchor != partner
            chosen = [n for n in neighbours if n >= 0]
            assert set(chosen) <= members - {anchor} and len(set(chosen)) == len(chosen)


def test_the_same_seed_and_epoch_repeat_and_others_differ(train_graph: TrainGraph) -> None:
    def tracks(seed: int, epoch: int) -> list[int]:
        return np.concatenate([d.tracks for d in make_sampler(train_graph, seed=seed).epoch(epoch)]).tolist()

    assert tracks(1, 1) == tracks(1, 1)
    assert tracks(1, 1) != tracks(1, 2)
    assert tracks(1, 1) != tracks(2, 1)


def test_stage_1_takes_twice_the_tracks_and_no_pairs(train_graph: TrainGraph) -> None:
    draws = list(make_sampler(train_graph, pairs=False).epoch(1))
    assert all(len(draw.tracks) == 6 and len(draw.playlists) == 0 for draw in draws)


def test_a_batch_is_never_larger_than_the_anchors(train_graph: TrainGraph) -> None:
    sampler = make_sampler(train_graph, batch_size=10_000)
    assert sampler.steps_per_epoch == 1 and sampler.num_anchors == len(train_graph.anchors)


@pytest.mark.parametrize(("warmup", "total"), [(10, 100), (3_000, 50), (0, 10)])
def test_the_schedule_rises_then_falls_to_zero(warmup: int, total: int) -> None:
    factors = [cosine_with_warmup(warmup, total)(step) for step in range(total + 1)]
    top = int(np.argmax(factors))
    assert factors[top] == pytest.approx(1.0) and top <= max(1, total // 5)
    assert all(a <= b for a, b in itertools.pairwise(factors[: top + 1]))
    assert all(a >= b for a, b in itertools.pairwise(factors[top:]))
    assert factors[-1] == pytest.approx(0.0, abs=1e-9)
