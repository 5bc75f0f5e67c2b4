"""Linear layers by oneDNN: PyTorch's own numbers and gradients, and its own layer wherever oneDNN is not asked."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from larp_core.config.recipes import SMOKE
from larp_core.model import cpu_linear
from larp_core.model.cpu_linear import CpuLinear, use_cpu_linear
from larp_core.model.pretrained import build_model

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch was built without oneDNN")


def make_layers(inputs: int, outputs: int, *, bias: bool = True) -> tuple[nn.Linear, nn.Linear]:
    """Ours and PyTorch's, with the same weights."""
    torch.manual_seed(0)
    plain = nn.Linear(inputs, outputs, bias=bias)
    ours = copy.deepcopy(plain)
    use_cpu_linear(ours)
    assert type(ours) is CpuLinear
    return ours, plain


def through(layer: nn.Linear, rows: Tensor) -> tuple[Tensor, ...]:
    """What comes out, and the gradients of the input and of every weight."""
    rows = rows.clone().requires_grad_()
    out = layer(rows)
    (out * torch.linspace(-1, 1, out.shape[-1])).sum().backward()
    return out, rows.grad, *(parameter.grad for parameter in layer.parameters())


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 5), (4, cpu_linear.LONG)])
@pytest.mark.parametrize(("inputs", "outputs"), [(24, 40), (40, 24)])
@pytest.mark.parametrize("bias", [True, False])
def test_numbers_and_gradients_are_pytorchs(shape: tuple[int, ...], inputs: int, outputs: int, bias: bool) -> None:
    rows = torch.randn(*shape, inputs)
    for ours, plain in zip(*(through(layer, rows) for layer in make_layers(inputs, outputs, bias=bias)), strict=True):
        assert ours.shape == plain.shape and ours.is_contiguous()
        assert torch.allclose(ours, plain, rtol=1e-4, atol=1e-4)


def test_rows_that_are_not_side_by_side_in_memory_are_taken_as_they_are() -> None:
    ours, plain = make_layers(24, 40)
    rows = torch.randn(24, 7).T
    for mine, theirs in zip(through(ours, rows), through(plain, rows), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)


def test_no_gradient_is_computed_for_what_does_not_learn() -> None:
    ours, _ = make_layers(24, 40)
    ours.weight.requires_grad_(False)
    rows = torch.randn(3, 24)
    ours(rows).sum().backward()
    assert ours.weight.grad is None and torch.equal(ours.bias.grad, torch.full((40,), 3.0))
    with torch.no_grad():
        assert torch.equal(ours(rows), ours(rows.clone().requires_grad_()))


def test_in_half_precision_and_without_rows_it_is_pytorchs_layer() -> None:
    ours, plain = make_layers(24, 40)
    rows = torch.randn(3, 24)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ours(rows), plain(rows))
    assert torch.equal(ours.double()(rows.double()), plain.double()(rows.double()))
    assert make_layers(24, 40)[0](rows[:0]).shape == (0, 40)


def test_the_towers_have_no_other_linear_layer_and_weights_of_the_same_names() -> None:
    model = build_model(SMOKE.model, 50, seed=0)
    towers = [*model.audio_model.modules(), *model.text_model.modules(), model.audio_projection, model.text_projection]
    linear = [layer for layer in towers if isinstance(layer, nn.Linear)]
    assert linear and all(type(layer) is CpuLinear for layer in linear)
    assert "text_model.encoder.layer.0.attention.self.query.weight" in model.state_dict()


def test_the_whole_model_gives_the_numbers_of_plain_layers() -> None:
    model = build_model(SMOKE.model, 50, seed=0)
    mels, tokens = torch.randn(3, 1, 1001, 64) * 15 - 40, torch.randint(1, 50, (3, 7))
    found = []
    for enabled in (True, False):
        with torch.backends.mkldnn.flags(enabled=enabled):
            model.zero_grad()
            output = model(mels, tokens)
            (output.track_embeds * torch.linspace(-1, 1, output.track_embeds.shape[1])).sum().backward()
            gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
            found.append([output.audio_embeds, output.text_embeds, *gradients])
    for ours, plain in zip(*found, strict=True):
        assert torch.allclose(ours, plain, rtol=1e-3, atol=1e-4)
