"""The batch norm over mel bins in its other order: HTS-AT's own numbers, with a cheaper gradient."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch import Tensor, nn

from larp_core.config.recipes import SMOKE
from larp_core.model.mel_norm import MelNorm
from larp_core.model.modeling_larp import LarpModel
from larp_core.model.pretrained import build_model


def make_models(*, learns: bool = True) -> tuple[LarpModel, LarpModel]:
    """Ours, and the same with HTS-AT's own batch norm; scale, shift and statistics away from where they start."""
    audio = dataclasses.replace(SMOKE.model.audio, train_mel_norm=learns)
    ours = build_model(dataclasses.replace(SMOKE.model, audio=audio, norm="none"), 50, seed=0)
    norm = ours.audio_model.audio_encoder.batch_norm
    torch.manual_seed(1)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2.0)
        norm.bias.normal_()
        norm.running_mean.normal_(-40, 5)
        norm.running_var.uniform_(50, 200)
    theirs = copy.deepcopy(ours)
    plain = nn.BatchNorm2d(64)
    plain.load_state_dict(norm.state_dict())
    theirs.audio_model.audio_encoder.batch_norm = plain
    return ours, theirs


def make_mels() -> Tensor:
    return torch.randn(3, 1, 1001, 64, generator=torch.Generator().manual_seed(2)) * 15 - 40


@pytest.mark.parametrize("training", [True, False])
def test_features_gradients_and_statistics_are_hts_ats_own(training: bool) -> None:
    models = make_models()
    features = []
    for model in models:
        model.train(training)
        features.append(model.get_audio_features(make_mels()))
        (features[-1] * torch.linspace(-1, 1, features[-1].shape[1])).sum().backward()
    assert torch.allclose(*features, atol=1e-5)
    ours, theirs = (dict(model.audio_model.named_parameters()) for model in models)
    assert ours.keys() == theirs.keys()
    largest = max(parameter.grad.abs().max().item() for parameter in theirs.values())
    for name, parameter in ours.items():
        assert torch.allclose(parameter.grad, theirs[name].grad, rtol=1e-3, atol=1e-5 * largest), name
    for (name, ours_), (_, theirs_) in zip(*(m.audio_model.named_buffers() for m in models), strict=True):
        assert torch.equal(ours_, theirs_), name


def test_no_gradient_runs_through_the_resizing() -> None:
    def steps(tensor: Tensor) -> set[str]:
        seen, todo = set(), [tensor.grad_fn]
        while todo:
            if (node := todo.pop()) is not None and node not in seen:
                seen.add(node)
                todo += [parent for parent, _ in node.next_functions]
        return {type(node).__name__ for node in seen}

    resized = [any("Bicubic" in step for step in steps(model.pooled_audio(make_mels()))) for model in make_models()]
    assert resized == [False, True]


def test_where_nothing_is_learned_it_is_an_ordinary_batch_norm() -> None:
    ours, theirs = make_models()
    with torch.no_grad():
        assert torch.equal(ours.pooled_audio(make_mels()), theirs.pooled_audio(make_mels()))
    frozen, _ = make_models(learns=False)
    assert not isinstance(frozen.audio_model.audio_encoder.batch_norm, MelNorm)
