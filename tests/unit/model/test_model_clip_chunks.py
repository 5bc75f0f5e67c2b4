"""HTS-AT over a few clips at a time: the numbers and gradients of all at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from larp_core.config.recipes import SMOKE
from larp_core.model import clip_chunks
from larp_core.model.clip_chunks import ChunkedStage
from larp_core.model.modeling_larp import LarpModel
from larp_core.model.pretrained import build_model

CLIPS = 5
BYTES_A_CLIP = 4 * 256 * 4 * 48
"""Of the first stage's MLP: 16 x 16 patches."""


@pytest.fixture
def model() -> LarpModel:
    return build_model(SMOKE.model, 50, seed=0).train()


def features_and_gradients(model: LarpModel, **options: bool) -> list[Tensor]:
    mels = torch.randn(CLIPS, 1, 1001, 64, generator=torch.Generator().manual_seed(2)) * 15 - 40
    model.zero_grad()
    output = model.audio_model(input_features=mels, **options)
    (output.pooler_output * torch.linspace(-1, 1, output.pooler_output.shape[1])).sum().backward()
    gradients = [parameter.grad.clone() for parameter in model.audio_model.parameters() if parameter.grad is not None]
    return [output.pooler_output, *(output.hidden_states or ()), *(output.attentions or ()), *gradients]


@pytest.mark.parametrize("clips_at_a_time", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"output_hidden_states": True}, {"output_attentions": True}])
def test_numbers_and_gradients_are_those_of_all_clips_at_once(
    model: LarpModel, monkeypatch: pytest.MonkeyPatch, clips_at_a_time: int, options: dict[str, bool]
) -> None:
    whole = features_and_gradients(model, **options)
    monkeypatch.setattr(clip_chunks, "LARGEST_TENSOR", clips_at_a_time * BYTES_A_CLIP + 1)
    parts = features_and_gradients(model, **options)
    assert len(whole) == len(parts) > 1
    for left, right in zip(whole, parts, strict=True):
        assert torch.allclose(left, right, rtol=1e-3, atol=1e-4)


def test_a_chunk_s_widest_tensor_stays_below_the_limit(model: LarpModel, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    mlp = model.audio_model.audio_encoder.layers[0].blocks[0].intermediate
    mlp.register_forward_hook(lambda module, inputs, output: rows.append(output.numel() * 4))
    monkeypatch.setattr(clip_chunks, "LARGEST_TENSOR", 2 * BYTES_A_CLIP + 1)
    features_and_gradients(model)
    assert rows == [2 * BYTES_A_CLIP, 2 * BYTES_A_CLIP, BYTES_A_CLIP]


def test_small_towers_take_a_whole_batch_at_once(model: LarpModel) -> None:
    stages = list(model.audio_model.audio_encoder.layers)
    assert all(type(stage) is ChunkedStage for stage in stages)
    assert stages[0]._clips_at_a_time(torch.empty(64, 256, 48)) > 64
