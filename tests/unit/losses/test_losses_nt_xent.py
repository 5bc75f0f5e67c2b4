"""NT-Xent: its slow twin, its direction, and what is no negative."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from larp_core.losses.nt_xent import nt_xent

TEMPERATURE = 0.1


def batch(num_pairs: int, seed: int = 0) -> torch.Tensor:
    return normalize(torch.randn(2 * num_pairs, 6, generator=torch.Generator().manual_seed(seed)), dim=-1)


def naive(
    vectors: torch.Tensor, present: list[bool], tracks: list[int], related: np.ndarray | None, smoothing: float
) -> float:
    """Row by row, as Chen et al. write it, with the rows left out that take no part."""
    half, costs = len(tracks) // 2, []
    for i in range(len(tracks)):
        partner = i + half if i < half else i - half
        if not (present[i] and present[partner]) or tracks[i] == tracks[partner]:
            continue
        columns = [
            j
            for j in range(len(tracks))
            if present[j] and tracks[j] != tracks[i] and (j == partner or related is None or not related[i, j])
        ]
        scores = {j: math.exp(float(vectors[i] @ vectors[j]) / TEMPERATURE) for j in columns}
        logs = {j: math.log(score / sum(scores.values())) for j, score in scores.items()}
        costs.append(-(1 - smoothing) * logs[partner] - smoothing * np.mean(list(logs.values())))
    return float(np.mean(costs)) if costs else 0.0


@given(
    num_pairs=st.integers(1, 5),
    seed=st.integers(0, 1_000),
    smoothing=st.sampled_from([0.0, 0.3]),
    masked=st.booleans(),
)
def test_equals_the_slow_twin(num_pairs: int, seed: int, smoothing: float, masked: bool) -> None:
    rng = np.random.default_rng(seed)
    vectors, tracks = batch(num_pairs, seed), rng.integers(0, 8, num_pairs)
    tracks = np.concatenate([tracks, (tracks + rng.integers(1, 8, num_pairs)) % 8])
    present = rng.random(2 * num_pairs) < 0.8
    related = rng.random((2 * num_pairs,) * 2) < 0.3 if masked else None
    found = nt_xent(
        vectors,
        torch.from_numpy(present),
        torch.from_numpy(tracks),
        TEMPERATURE,
        None if related is None else torch.from_numpy(related),
        smoothing,
    )
    assert float(found) == pytest.approx(
        naive(vectors, present.tolist(), tracks.tolist(), related, smoothing), abs=1e-5
    )


def test_pairs_that_lie_together_cost_less_than_pairs_that_do_not() -> None:
    vectors = batch(4)
    together = torch.cat([vectors[:4], normalize(vectors[:4] + 0.1 * vectors[4:], dim=-1)])
    present, tracks = torch.ones(8, dtype=torch.bool), torch.arange(8)
    apart = torch.cat([together[:4], together[4:].roll(1, 0)])
    assert nt_xent(together, present, tracks, TEMPERATURE) < nt_xent(apart, present, tracks, TEMPERATURE)


def test_the_gradient_pulls_a_pair_together() -> None:
    vectors = batch(4).requires_grad_()
    present, tracks = torch.ones(8, dtype=torch.bool), torch.arange(8)
    before = (vectors[0] @ vectors[4]).item()
    nt_xent(vectors, present, tracks, TEMPERATURE).backward()
    moved = normalize(vectors.detach() - 0.1 * vectors.grad, dim=-1)  # type: ignore[operator]
    assert (moved[0] @ moved[4]).item() > before


def test_a_batch_without_sound_costs_nothing_and_has_a_gradient() -> None:
    vectors = batch(2).requires_grad_()
    loss = nt_xent(vectors, torch.zeros(4, dtype=torch.bool), torch.arange(4), TEMPERATURE)
    loss.backward()
    assert loss.item() == 0.0 and torch.equal(vectors.grad, torch.zeros_like(vectors))
