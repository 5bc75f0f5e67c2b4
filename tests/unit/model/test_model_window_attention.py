"""HTS-AT's attention by the fused kernel: the numbers of HTS-AT's own."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.models.clap.modeling_clap import ClapAudioSelfAttention

from larp_core.config.recipes import SMOKE
from larp_core.model.modeling_larp import LarpModel
from larp_core.model.pretrained import build_model
from larp_core.model.window_attention import WindowAttention


@pytest.fixture
def model() -> LarpModel:
    """Blocks with shifted windows, masks and all, and biases away from zero."""
    audio = dataclasses.replace(SMOKE.model.audio, depths=(2, 2), heads=(2, 4))
    model = build_model(dataclasses.replace(SMOKE.model, audio=audio), 50, seed=0)
    for attention in attentions(model):
        torch.nn.init.normal_(attention.relative_position_bias_table)
    return model


def attentions(model: LarpModel) -> list[WindowAttention]:
    return [module for module in model.modules() if isinstance(module, WindowAttention)]


def make_mels() -> Tensor:
    return torch.randn(3, 1, 1001, 64, generator=torch.Generator().manual_seed(2)) * 15 - 40


@pytest.mark.parametrize("training", [True, False])
def test_without_a_gradient_the_numbers_are_those_of_the_plain_attention(model: LarpModel, training: bool) -> None:
    model.train(training)
    plain = model.audio_model(make_mels()).last_hidden_state
    with torch.no_grad():
        fused = model.audio_model(make_mels()).last_hidden_state
    assert plain.requires_grad and not torch.equal(plain, fused)
    assert torch.allclose(plain, fused, rtol=1e-4, atol=1e-4)


def test_the_kernel_is_asked_without_a_gradient_only(model: LarpModel, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[torch.Size] = []
    kernel = F.scaled_dot_product_attention

    def counted(query: Tensor, *others: Tensor) -> Tensor:
        shapes.append(query.shape)
        return kernel(query, *others)

    monkeypatch.setattr(F, "scaled_dot_product_attention", counted)
    model.pooled_audio(make_mels())
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        model.pooled_audio(make_mels())
    assert not shapes
    with torch.no_grad():
        model.pooled_audio(make_mels())
    assert len(shapes) == 4
    assert shapes[0] == (3 * 16, 2, 16, 24)  # windows of 4 x 4 out of 16 x 16 patches, by heads
    assert shapes[1] == (3, 16 * 2, 16, 24)  # shifted: each of a clip's windows has a mask of its own


def test_where_scores_are_asked_for_they_are_told(model: LarpModel) -> None:
    with torch.no_grad():
        output = model.audio_model(make_mels(), output_attentions=True)
    assert output.attentions is not None and len(output.attentions) == 2


def test_weights_keep_their_names(model: LarpModel) -> None:
    assert len(attentions(model)) == 4
    assert not any(type(module) is ClapAudioSelfAttention for module in model.modules())
    assert "audio_model.audio_encoder.layers.0.blocks.1.attention.self.query.weight" in model.state_dict()
