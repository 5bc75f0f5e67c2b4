"""AST and PANN's CNN14 as LARP's audio tower: shapes, round trip, training, and their published weights' names."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from training_world import RECIPE, make_inputs
from transformers import ASTConfig, ASTModel

from larp_core.config import AudioTowerConfig, ModelConfig
from larp_core.config.stages import STAGES
from larp_core.model.audio_towers import build_tower, described, tower_config, width_of
from larp_core.model.cnn14 import Cnn14, Cnn14Config
from larp_core.model.modeling_larp import LarpModel
from larp_core.model.pretrained import build_model
from larp_core.runtime.errors import UserError
from larp_core.training.stages import run_stage

AST = AudioTowerConfig(architecture="ast", patch=16, depths=(2,), heads=(2,), width=32)
PANN = AudioTowerConfig(architecture="pann", width=2)
TOWERS = {"ast": (AST, 32), "pann": (PANN, 64)}


def model_with(tower: AudioTowerConfig, **changes: object) -> ModelConfig:
    return dataclasses.replace(RECIPE.model, audio=dataclasses.replace(tower, **changes))  # type: ignore[arg-type]


def mels(num: int = 2) -> Tensor:
    return 20 * torch.randn(num, 1, 1001, 64, generator=torch.Generator().manual_seed(0)) - 40


@pytest.mark.parametrize("kind", TOWERS)
def test_a_larp_stands_on_it_and_comes_back_from_its_folder(kind: str, tmp_path: Path) -> None:
    tower, width = TOWERS[kind]
    model = build_model(model_with(tower), 50, seed=1).eval()
    assert model.pooled_audio(mels()).shape == (2, width) and model.config.audio_width == width
    vectors = model.get_audio_features(mels())
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(2))
    model.save_pretrained(tmp_path)
    again = LarpModel.from_pretrained(tmp_path).eval()
    assert again.config.audio_config.model_type == model.config.audio_config.model_type
    torch.testing.assert_close(again.get_audio_features(mels()), vectors)
    assert described(again.config.audio_config).startswith({"ast": "AST, depths [2]", "pann": "CNN14 (PANN)"}[kind])
    with pytest.raises(UserError, match=r"needs \[batch, 1, 1001, 64\]"):
        model.pooled_audio(torch.zeros(2, 1, 998, 128))


@pytest.mark.parametrize("kind", TOWERS)
@pytest.mark.parametrize("stage", ["larp_wtc", "larp_ttc"])
def test_stages_train_on_it(kind: str, stage: str) -> None:
    recipe = dataclasses.replace(RECIPE, model=model_with(TOWERS[kind][0]))
    before = build_model(recipe.model, len(make_inputs().tokenizer), RECIPE.training.seed).state_dict()
    model, result = run_stage(STAGES[stage], make_inputs(), recipe, None)
    assert result.curve[-1].loss is not None
    after = model.state_dict()
    moved = [name for name in before if name.startswith("audio_model.") and not torch.equal(before[name], after[name])]
    assert any(name.endswith("weight") for name in moved)


def test_full_sizes_are_the_published_ones() -> None:
    with torch.device("meta"):
        ast = build_tower(
            tower_config(AudioTowerConfig(architecture="ast", patch=16, depths=(12,), heads=(12,), width=768)), True
        )
        pann = build_tower(tower_config(AudioTowerConfig(architecture="pann", width=64)), True)
    assert 85e6 < sum(p.numel() for p in ast.parameters()) < 88e6
    assert width_of(Cnn14Config()) == 2048 and 79e6 < sum(p.numel() for p in pann.parameters()) < 81e6


def cnn14_state(width: int, filters: Tensor) -> dict[str, Tensor]:
    """A checkpoint as PANNs publishes it, with its front end and its classifier."""
    state = {name: torch.randn(value.shape) for name, value in Cnn14(Cnn14Config(width=width)).state_dict().items()}
    state = {name: value.abs() if name.endswith("running_var") else value for name, value in state.items()}
    state = {name: torch.tensor(1) if name.endswith("tracked") else value for name, value in state.items()}
    return state | {
        "spectrogram_extractor.stft.conv_real.weight": torch.randn(513, 1, 1024),
        "logmel_extractor.melW": filters,
        "fc_audioset.weight": torch.randn(527, 32 * width),
        "fc_audioset.bias": torch.randn(527),
    }


def cnn14_forward(state: dict[str, Tensor], mel: Tensor) -> Tensor:
    """CNN14 by its equations, from the checkpoint's tensors alone."""

    def norm(name: str, x: Tensor) -> Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{part}"].view(1, -1, 1, 1) for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    x = norm("bn0", mel.permute(0, 3, 2, 1)).permute(0, 3, 2, 1)
    for block in range(1, 7):
        for half in (1, 2):
            x = functional.conv2d(x, state[f"conv_block{block}.conv{half}.weight"], padding=1)
            x = norm(f"conv_block{block}.bn{half}", x).clamp(min=0)
        if block < 6:
            x = x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]
            x = (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4
    over_time = x.mean(3)
    return ((over_time.max(2).values + over_time.mean(2)) @ state["fc1.weight"].T + state["fc1.bias"]).clamp(min=0)


def test_the_published_cnn14_gives_its_own_vectors(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = cnn14_state(2, torch.rand(513, 64))
    torch.save({"model": state}, tmp_path / "Cnn14_mAP=0.431.pth")
    with caplog.at_level(logging.INFO, logger="larp_core"):
        model = build_model(model_with(PANN, pretrained=str(tmp_path / "Cnn14_mAP=0.431.pth")), 50, seed=1).eval()
    found = model.audio_model(input_features=mels()).pooler_output
    torch.testing.assert_close(found, cnn14_forward(state, mels()), rtol=1e-3, atol=1e-3)
    assert "2 left out: the AudioSet classifier" in caplog.text and "not those of 48 kHz audio" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("fc1.weight"), "1 missing: fc1.weight"),
        (lambda state: state.update({"fc2.weight": torch.zeros(1)}), "1 unexpected: fc2.weight"),
        (lambda state: state.update({"fc1.bias": torch.zeros(3)}), "1 misshapen"),
    ],
)
def test_a_cnn14_that_does_not_match_is_refused(tmp_path: Path, change: object, message: str) -> None:
    state = cnn14_state(2, torch.rand(513, 64))
    change(state)  # type: ignore[operator]
    torch.save(state, tmp_path / "cnn14.pth")
    with pytest.raises(UserError, match=f"{message}.*nothing was loaded"):
        build_model(model_with(PANN, pretrained=str(tmp_path / "cnn14.pth")), 50, seed=1)


def test_the_published_ast_keeps_its_weights_and_its_positions_are_stretched(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    published = ASTModel(ASTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128))
    torch.nn.init.normal_(published.embeddings.position_embeddings)
    published.save_pretrained(tmp_path)
    model = build_model(model_with(AST, pretrained=str(tmp_path)), 50, seed=1)
    ours, theirs = model.audio_model.ast.state_dict(), published.state_dict()  # type: ignore[union-attr]
    positions = "embeddings.position_embeddings"
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs if name != positions)
    assert theirs[positions].shape == (1, 2 + 12 * 101, 32) and ours[positions].shape == (1, 2 + 5 * 99, 32)
    assert torch.equal(ours[positions][:, :2], theirs[positions][:, :2])
    corner = theirs[positions][0, 2:].view(12, 101, 32)
    assert corner.min() <= ours[positions].min() and ours[positions].max() <= corner.max()
    assert "position embeddings of (12, 101) patches are stretched to (5, 99)" in caplog.text


def test_an_ast_of_another_size_is_refused(tmp_path: Path) -> None:
    config = ASTConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    ASTModel(config).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="do not match the recipe's tower"):
        build_model(model_with(AST, pretrained=str(tmp_path)), 50, seed=1)
