"""The bag of words beside the text tower: weights by rarity, cosines that keep TF-IDF's, off by default."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_world import TINY, make_inputs

from larp_core.config.stages import STAGES
from larp_core.model.lexical import FIRST_GATE, LexicalBag
from larp_core.model.modeling_larp import LarpModel
from larp_core.model.pretrained import build_model
from larp_core.training.stages import run_stage

LEXICAL = replace(TINY, model=replace(TINY.model, text=replace(TINY.model.text, lexical=True)))


def some_captions() -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.tensor([[2, 5, 6, 3], [2, 5, 7, 3], [2, 5, 5, 3], [0, 0, 0, 0]])
    return ids, torch.tensor([[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]])


def test_weights_are_logarithms_of_rarity() -> None:
    bag = LexicalBag(10, 4)
    bag.weigh(*some_captions())
    expected = {2: 0.0, 3: 0.0, 5: 0.0, 6: math.log(4 / 2), 7: math.log(4 / 2), 9: math.log(4)}
    assert {token: float(bag.weights[token]) for token in expected} == pytest.approx(expected)


def test_forward_equals_a_loop() -> None:
    torch.manual_seed(0)
    bag = LexicalBag(10, 4)
    bag.weigh(*some_captions())
    ids, mask = torch.tensor([[2, 6, 7, 0], [2, 9, 6, 9]]), torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    tower = torch.randn(2, 4)
    found = bag(ids, mask, tower).detach()
    for row in range(2):
        words = sum(
            bag.weights[i] * bag.vectors.weight[i] for i, shown in zip(ids[row], mask[row], strict=True) if shown
        )
        expected = words / words.norm() + FIRST_GATE * tower[row] / tower[row].norm()
        assert torch.allclose(found[row], expected.detach(), atol=1e-6)


def test_untrained_cosines_are_near_those_of_weighed_words() -> None:
    torch.manual_seed(0)
    bag = LexicalBag(200, 2_048)
    rng = np.random.default_rng(0)
    ids = torch.from_numpy(rng.integers(0, 200, (40, 6)))
    bag.weigh(ids, torch.ones_like(ids))
    counts = torch.zeros(40, 200).scatter_add_(1, ids, bag.weights[ids])
    exact = torch.nn.functional.normalize(counts, dim=1)
    vectors = bag(ids, torch.ones_like(ids), torch.zeros(40, 2_048)).detach()
    assert (vectors @ vectors.T - exact @ exact.T).abs().max() < 0.12


def test_a_trained_model_comes_back_with_its_words(tmp_path: Path) -> None:
    inputs = make_inputs()
    model, _ = run_stage(STAGES["larp_ttc"], inputs, LEXICAL, None, keep="last")
    start = build_model(LEXICAL.model, len(inputs.tokenizer), LEXICAL.training.seed)
    assert model.lexical is not None and start.lexical is not None
    assert float(model.lexical.weights.max()) > 1.0
    assert not torch.equal(model.lexical.vectors.weight, start.lexical.vectors.weight)
    model.save_pretrained(tmp_path)
    again = LarpModel.from_pretrained(tmp_path).eval()
    batch = inputs.train.batch(np.arange(4))
    tokens = batch.input_ids, batch.attention_mask
    assert torch.equal(again.get_text_features(*tokens), model.get_text_features(*tokens))


def test_off_by_default() -> None:
    model = build_model(TINY.model, 50, 0)
    assert model.lexical is None
    assert not any("lexical" in name for name in model.state_dict())
