"""The model as people load it: shapes, saving, the pretrained towers, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from transformers import BertModel, ClapConfig, ClapModel

from larp_core.config.recipes import PAPER, SMOKE
from larp_core.model.configuration_larp import LarpConfig
from larp_core.model.modeling_larp import LarpModel, fuse_modalities
from larp_core.model.pretrained import build_model
from larp_core.model.vocabulary import train_wordpiece
from larp_core.runtime.errors import UserError

SMALL = SMOKE.model


@pytest.fixture(scope="module")
def model() -> LarpModel:
    return build_model(SMALL, vocab_size=50, seed=1).eval()


def test_features_are_unit_vectors(model: LarpModel) -> None:
    audio = model.get_audio_features(torch.randn(2, 1, 1001, 64))
    text = model.get_text_features(torch.randint(5, 50, (3, 7)), torch.ones(3, 7, dtype=torch.long))
    assert audio.shape == (2, 256) and text.shape == (3, 256)
    assert torch.allclose(audio.norm(dim=1), torch.ones(2)) and torch.allclose(text.norm(dim=1), torch.ones(3))


def test_padding_of_captions_changes_nothing(model: LarpModel) -> None:
    ids = torch.randint(5, 50, (1, 6))
    short = model.get_text_features(ids, torch.ones_like(ids))
    padded = torch.nn.functional.pad(ids, (0, 5))
    assert torch.allclose(short, model.get_text_features(padded, (torch.arange(11) < 6)[None].long()), atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 64, 1001), (1, 1, 500, 64), (1, 1001, 64)])
def test_other_spectrogram_shapes_are_refused(model: LarpModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="1001, 64"):
        model.get_audio_features(torch.zeros(shape))


def test_saved_and_loaded_models_agree(model: LarpModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    again = LarpModel.from_pretrained(tmp_path).eval()
    mel = torch.randn(2, 1, 1001, 64)
    assert torch.equal(model.get_audio_features(mel), again.get_audio_features(mel))
    assert again.config.norm == "batch" and again.config.text_config.vocab_size == 50
    assert torch.equal(model.playlist_fusion.value.weight, again.playlist_fusion.value.weight)


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second, other = (build_model(SMALL, 50, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_the_frozen_mel_norm_has_no_gradient(model: LarpModel) -> None:
    assert not any(p.requires_grad for p in model.audio_model.audio_encoder.batch_norm.parameters())


def test_the_paper_recipe_has_the_papers_widths() -> None:
    config = LarpConfig.from_recipe(PAPER.model, vocab_size=30_522)
    assert (config.audio_width, config.text_config.hidden_size, config.projection_dim) == (768, 768, 256)
    assert config.audio_config.depths == [2, 2, 6, 2]


def test_fused_vectors_use_the_modalities_that_are_there() -> None:
    audio, text = torch.tensor([[1.0, 0.0]] * 3), torch.tensor([[0.0, 1.0]] * 3)
    fused = fuse_modalities(audio, text, torch.tensor([True, True, False]), torch.tensor([True, False, True]))
    assert fused.tolist() == [[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]]


def save_small_towers(folder: Path) -> tuple[ClapModel, BertModel]:
    config = LarpConfig.from_recipe(SMALL, vocab_size=50)
    clap = ClapModel(
        ClapConfig(
            audio_config=config.audio_config.to_dict(),
            text_config=dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16),
        )
    )
    bert = BertModel(config.text_config, add_pooling_layer=False)
    clap.save_pretrained(folder / "clap")
    bert.save_pretrained(folder / "bert")
    return clap, bert


def test_pretrained_towers_are_loaded_whole(tmp_path: Path) -> None:
    clap, bert = save_small_towers(tmp_path)
    recipe = dataclasses.replace(
        SMALL,
        audio=dataclasses.replace(SMALL.audio, pretrained=str(tmp_path / "clap")),
        text=dataclasses.replace(SMALL.text, pretrained=str(tmp_path / "bert")),
    )
    model = build_model(recipe, vocab_size=50, seed=3).eval()
    mel, ids = torch.randn(1, 1, 1001, 64), torch.randint(5, 50, (1, 6))
    expected_audio = clap.eval().audio_model(input_features=mel).pooler_output
    expected_text = bert.eval()(ids).last_hidden_state[:, 0]
    assert torch.allclose(model.pooled_audio(mel), expected_audio, atol=1e-6)
    assert torch.allclose(model.pooled_text(ids, torch.ones_like(ids)), expected_text, atol=1e-6)


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    save_small_towers(tmp_path)
    wider = dataclasses.replace(SMALL.text, width=64, pretrained=str(tmp_path / "bert"))
    with pytest.raises(UserError, match="do not match"):
        build_model(dataclasses.replace(SMALL, text=wider), vocab_size=50, seed=3)


def test_absent_weights_are_named(tmp_path: Path) -> None:
    absent = dataclasses.replace(SMALL.text, pretrained=str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"model\.text\.pretrained"):
        build_model(dataclasses.replace(SMALL, text=absent), vocab_size=50, seed=3)


def test_the_vocabulary_is_the_same_for_the_same_captions() -> None:
    captions = [
        f"The track {word} by {word[::-1]} on album B{word}" for word in ("river", "rain", "radio", "reverb")
    ] * 2
    first, second = train_wordpiece(captions, 120), train_wordpiece(captions, 120)
    assert first.get_vocab() == second.get_vocab()
    assert first("The track river")["input_ids"] == second("The track river")["input_ids"]
    assert first.unk_token_id not in first("the track rain by niar")["input_ids"]
