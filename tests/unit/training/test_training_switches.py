"""The switches beyond the paper through the real loop: each off in `paper`, each reached from a recipe."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_world import TINY, make_graph, make_inputs

from larp_core.config.recipes import RECIPES, Recipe
from larp_core.config.stages import STAGES
from larp_core.model.modeling_larp import LarpModel
from larp_core.runtime.errors import UserError
from larp_core.training.objective import TEMPERATURES
from larp_core.training.pruning import PairPruning, prune_pairs
from larp_core.training.sampler import Sampler
from larp_core.training.stages import run_stage

OFF = dict(false_negatives="kept", pair_pruning=0.0, loss_weights=(), text_hardness=0.0, text_twins=None)


def with_training(recipe: Recipe = TINY, **changes: Any) -> Recipe:
    return dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, **changes))


def learning_temperature(**changes: Any) -> Recipe:
    model = dataclasses.replace(TINY.model, learned_temperature=True)
    return with_training(dataclasses.replace(TINY, model=model), **changes)


@pytest.mark.parametrize("name", ["paper", "released_code", "demo"])
def test_every_switch_is_off_where_results_are_compared(name: str) -> None:
    recipe = RECIPES[name]
    assert {field: getattr(recipe.training, field) for field in OFF} == OFF
    assert not recipe.model.learned_temperature and recipe.evaluation.playlist_vector == "mean"


@pytest.mark.parametrize("stage", ["larp_ttc", "larp_tpc_fusion"])
@pytest.mark.parametrize(
    "switch",
    [
        dict(false_negatives="masked"),
        dict(pair_pruning=0.3),
        dict(text_hardness=2.0, text_twins=0.9),
        dict(loss_weights=(("ttc", 3.0),)),
    ],
)
def test_every_switch_trains_to_other_weights(stage: str, switch: dict[str, Any]) -> None:
    inputs = make_inputs(without_audio=3, without_text=2)
    plain, _ = run_stage(STAGES[stage], inputs, TINY, None, keep="last")
    switched, result = run_stage(STAGES[stage], inputs, with_training(**switch), None, keep="last")
    assert np.isfinite(result.curve[-1].loss or np.nan)
    assert any(not torch.equal(a, b) for a, b in zip(plain.parameters(), switched.parameters(), strict=True))


def test_the_curve_shows_the_mean_that_is_descended() -> None:
    weights = dict(wtc=0.5, ttc=3.0)
    _, result = run_stage(STAGES["larp_ttc"], make_inputs(), with_training(loss_weights=tuple(weights.items())), None)
    last = result.curve[-1]
    assert last.loss == pytest.approx(sum(weights[name] * loss for name, loss in last.losses.items()) / 3.5)


@pytest.mark.parametrize("stage", ["larp_wtc", "larp_ttc", "clap_ft"])
def test_a_learned_temperature_moves_and_travels_with_the_weights(stage: str, tmp_path: Path) -> None:
    model, _ = run_stage(STAGES[stage], make_inputs(), learning_temperature(learning_rate=1e-2), None, keep="last")
    assert model.temperature is not None
    learned = model.temperature.item()
    assert learned != pytest.approx(TINY.model.temperature) and TEMPERATURES[0] <= learned <= TEMPERATURES[1]
    model.save_pretrained(tmp_path)
    again = LarpModel.from_pretrained(tmp_path)
    assert again.temperature is not None and again.temperature.item() == learned
    child, _ = run_stage(STAGES["larp_ttc"], make_inputs(), learning_temperature(learning_rate=0.0), model)
    assert child.temperature is not None and child.temperature.item() == learned


def test_a_learned_temperature_stays_in_its_range() -> None:
    model, _ = run_stage(STAGES["larp_wtc"], make_inputs(), learning_temperature(learning_rate=5.0), None, keep="last")
    assert model.temperature is not None
    assert model.temperature.item() == pytest.approx(TEMPERATURES[0]) or model.temperature.item() == TEMPERATURES[1]


def test_a_fixed_temperature_is_no_weight() -> None:
    model, _ = run_stage(STAGES["larp_wtc"], make_inputs(), TINY, None)
    assert model.temperature is None and "temperature" not in model.state_dict()


@pytest.mark.parametrize(
    "switch", [dict(false_negatives="masked"), dict(pair_pruning=0.1), dict(text_hardness=1.0), dict(text_twins=0.9)]
)
def test_the_published_codes_targets_have_no_room_for_the_graph(switch: dict[str, Any]) -> None:
    (name,) = switch
    with pytest.raises(UserError, match=rf"training\.{name} is .*; only with targets 'graph'"):
        run_stage(STAGES["larp_ttc"], make_inputs(), with_training(targets="diagonal", **switch), None)


def make_vectors(num_tracks: int) -> np.ndarray:
    """Even tracks point one way, odd ones another, with some noise; the last has none."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(scale=0.1, size=(num_tracks, 4)).astype(np.float32)
    vectors[::2, 0] += 1
    vectors[1::2, 1] += 1
    vectors[-1] = 0
    return vectors


def every_pair(graph: Any) -> list[tuple[int, int]]:
    return [
        (int(a), int(b))
        for p in range(graph.num_playlists)
        for a in graph.tracks_of(p)
        for b in graph.tracks_of(p)
        if a != b
    ]


def test_pruning_drops_the_share_of_drawn_pairs_that_is_least_alike() -> None:
    """Against every pair of every playlist, as often as it is drawn, scored one at a time."""
    graph = make_graph()
    vectors = np.random.default_rng(1).normal(size=(graph.num_tracks, 8)).astype(np.float32)
    pruning = prune_pairs(graph, graph.anchors, vectors, 0.25, seed=1)
    chance, below = 0.0, 0.0
    for a in range(graph.num_tracks):
        for p in graph.playlists_of(a):
            for b in graph.tracks_of(int(p)):
                if a == b:
                    continue
                weight = 1 / len(graph.playlists_of(a)) / (len(graph.tracks_of(int(p))) - 1)
                cosine = vectors[a] @ vectors[b] / np.linalg.norm(vectors[a]) / np.linalg.norm(vectors[b])
                kept = bool(pruning.keeps(np.array([a]), np.array([b]))[0, 0])
                assert kept == (cosine >= pruning.threshold) or abs(cosine - pruning.threshold) < 1e-5
                chance, below = chance + weight, below + weight * (not kept)
    assert below / chance == pytest.approx(0.25, abs=0.02)


def test_a_pruned_pair_is_not_drawn_while_there_is_another() -> None:
    graph = make_graph()
    pruning = PairPruning(unit(np.random.default_rng(1).normal(size=(graph.num_tracks, 3))), 0.0)
    sampler = Sampler(graph, graph.anchors, 8, pairs=True, num_neighbours=3, seed=1, pruning=pruning)
    partners_of = {a: {b for x, b in every_pair(graph) if x == a} for a in graph.anchors.tolist()}
    for draw in sampler.epoch(1):
        anchors, partners = draw.tracks[:8], draw.tracks[8:]
        for anchor, partner, playlist in zip(anchors, partners, draw.playlists, strict=True):
            assert {anchor, partner} <= set(graph.tracks_of(int(playlist)).tolist())
            possible = [b for b in partners_of[int(anchor)] if pruning.keeps(anchor[None], np.array([b]))[0, 0]]
            assert partner in possible or not possible
    again = [draw.tracks.tolist() for draw in sampler.epoch(1, start=1)]
    assert again == [draw.tracks.tolist() for draw in sampler.epoch(1)][1:]


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_without_pruning_nothing_is_dropped_and_a_track_without_a_vector_is_no_nan() -> None:
    graph = make_graph()
    everything = prune_pairs(graph, graph.anchors, make_vectors(graph.num_tracks), 0.0, seed=1)
    assert np.isfinite(everything.vectors).all()
    measured = [everything.keeps(np.array([a]), np.array([b]))[0, 0] for a, b in every_pair(graph)]
    assert np.mean(measured) > 0.99
    with pytest.raises(UserError, match=r"pair_pruning is 1\.0"):
        prune_pairs(graph, graph.anchors, make_vectors(graph.num_tracks), 1.0, seed=1)
