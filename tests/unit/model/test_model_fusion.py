from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from larp_core.model.fusion import MeanFusion, SelfAttentionFusion, masked_mean


def naive_attention(fusion: SelfAttentionFusion, tracks: np.ndarray) -> np.ndarray:
    """Equation 24 over the tracks that are there, one at a time."""
    query, key, value = (layer.weight.detach().numpy() for layer in (fusion.query, fusion.key, fusion.value))
    attended = []
    for track in tracks:
        scores = np.array([(query @ track) @ (key @ other) / np.sqrt(len(track)) for other in tracks])
        weights = np.exp(scores - scores.max())
        attended.append((weights / weights.sum()) @ np.stack([value @ other for other in tracks]))
    mean = np.mean(attended, axis=0)
    return mean / np.linalg.norm(mean)


@given(st.integers(1, 6), st.integers(0, 5), st.integers(0, 1000))
def test_attention_equals_the_naive_loop_whatever_the_padding(present: int, padding: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    fusion = SelfAttentionFusion(8)
    torch.manual_seed(seed)
    for layer in (fusion.query, fusion.key, fusion.value):
        torch.nn.init.normal_(layer.weight)
    tracks = rng.normal(size=(present, 8)).astype(np.float32)
    padded = np.concatenate([tracks, rng.normal(size=(padding, 8)).astype(np.float32)])
    mask = torch.arange(present + padding) < present
    fused = fusion(torch.from_numpy(padded)[None], mask[None])[0].detach().numpy()
    np.testing.assert_allclose(fused, naive_attention(fusion, tracks), atol=1e-4)


def test_fusion_starts_near_the_mean() -> None:
    torch.manual_seed(0)
    fusion = SelfAttentionFusion(32)
    fusion.reset()
    tracks = torch.nn.functional.normalize(torch.randn(4, 10, 32), dim=-1)
    everywhere = torch.ones(4, 10, dtype=torch.bool)
    closeness = (fusion(tracks, everywhere) * MeanFusion()(tracks, everywhere)).sum(-1)
    assert closeness.min() > 0.95


@pytest.mark.parametrize("fusion", [MeanFusion(), SelfAttentionFusion(4)])
def test_a_playlist_without_tracks_is_zeros_not_nan(fusion: torch.nn.Module) -> None:
    fused = fusion(torch.randn(1, 3, 4), torch.zeros(1, 3, dtype=torch.bool))
    assert torch.equal(fused, torch.zeros(1, 4))


def test_masked_mean_ignores_padding() -> None:
    tracks = torch.tensor([[[1.0, 0.0], [3.0, 2.0], [99.0, 99.0]]])
    assert masked_mean(tracks, torch.tensor([[True, True, False]])).tolist() == [[2.0, 1.0]]
