"""The paper's towers at full size with random weights: HTS-AT tiny at patch 4 and BERT base, forward and backward."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from larp_core.config.recipes import PAPER, RELEASED_CODE
from larp_core.model.pretrained import build_model

FULL_SIZE_PARAMETERS = {"audio_model": 27_500_000, "text_model": 108_900_000}


@pytest.mark.parametrize("recipe", [PAPER, RELEASED_CODE], ids=lambda recipe: recipe.name)
def test_both_recipes_have_the_same_full_size_towers(recipe: object) -> None:
    model = recipe.model  # type: ignore[attr-defined]
    assert (model.audio.depths, model.audio.heads, model.audio.patch) == ((2, 2, 6, 2), (4, 8, 16, 32), 4)
    assert (model.text.layers, model.text.width, model.projection) == (12, 768, 256)


def test_the_papers_model_goes_forward_and_backward() -> None:
    audio, text = (dataclasses.replace(tower, pretrained=None) for tower in (PAPER.model.audio, PAPER.model.text))
    model = build_model(dataclasses.replace(PAPER.model, audio=audio, text=text), 30_522, seed=1).train()
    for name, expected in FULL_SIZE_PARAMETERS.items():
        assert sum(p.numel() for p in getattr(model, name).parameters()) == pytest.approx(expected, rel=0.02)
    ids = torch.randint(1_000, 30_000, (2, 30))
    out = model(torch.randn(2, 1, 1001, 64) * 10 - 30, ids, torch.ones_like(ids))
    assert out.audio_embeds.shape == out.text_embeds.shape == (2, 256)
    (out.audio_embeds @ out.text_embeds.T / 0.07).log_softmax(1).diag().mean().neg().backward()
    unused = {n for n, p in model.named_parameters() if p.grad is None}
    assert unused == {f"playlist_fusion.{part}.weight" for part in ("query", "key", "value")}
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
