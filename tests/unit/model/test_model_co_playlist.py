"""CO-Playlist's model: full size, round trip, what it refuses, and its training where there is nothing to hear."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from training_world import RECIPE, make_inputs
from transformers import AutoModel

from larp_core.config import CoPlaylistConfig as CoPlaylistRecipe
from larp_core.config.stages import STAGES
from larp_core.model.card import model_card
from larp_core.model.co_playlist import CoPlaylistModel, build_co_playlist
from larp_core.runtime.errors import UserError
from larp_core.training.stages import run_stage, save_model


def test_full_size_is_a_resnet50_of_2048_numbers() -> None:
    with torch.device("meta"):
        model = build_co_playlist(CoPlaylistRecipe(), seed=0)
    convolutions = [m for m in model.resnet.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size != (1, 1)]
    assert len(convolutions) == 1 + 3 + 4 + 6 + 3 and model.config.projection_dim == 2048
    assert 23e6 < sum(parameter.numel() for parameter in model.resnet.parameters()) < 24e6


def test_unit_vectors_and_a_round_trip(tmp_path: Path) -> None:
    model = build_co_playlist(RECIPE.co_playlist, seed=0).eval()
    mels = 20 * torch.randn(3, 1, 1001, 64) - 40
    vectors = model.get_audio_features(mels)
    assert vectors.shape == (3, RECIPE.co_playlist.widths[-1])
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(3))
    assert model.contrasted(vectors).shape == (3, RECIPE.co_playlist.head_width)
    model.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path).eval()
    assert isinstance(again, CoPlaylistModel) and torch.equal(again(mels), vectors)


def test_another_clip_length_is_refused() -> None:
    with pytest.raises(UserError, match=r"needs \[batch, 1, 1001, 64\]"):
        build_co_playlist(RECIPE.co_playlist, seed=0).get_audio_features(torch.zeros(2, 1, 500, 64))


def test_captions_take_no_part() -> None:
    with_text, _ = run_stage(STAGES["co_playlist"], make_inputs(), RECIPE, None)
    without, _ = run_stage(STAGES["co_playlist"], make_inputs(without_text=20), RECIPE, None)
    assert all(torch.equal(a, b) for a, b in zip(with_text.parameters(), without.parameters(), strict=True))


def test_where_nothing_can_be_heard_nothing_is_trained_and_nothing_stops() -> None:
    _, result = run_stage(STAGES["co_playlist"], make_inputs(without_audio=24), RECIPE, None)
    assert [entry.epoch for entry in result.curve] == [0]


def test_tracks_without_a_clip_are_passed_over() -> None:
    _, result = run_stage(STAGES["co_playlist"], make_inputs(without_audio=12), RECIPE, None)
    assert result.curve[-1].loss is not None and result.curve[-1].loss > 0


def test_its_folder_has_a_card_and_no_tokenizer(tmp_path: Path) -> None:
    inputs = make_inputs()
    model, _ = run_stage(STAGES["co_playlist"], inputs, RECIPE, None)
    save_model(tmp_path / "co_playlist", model, inputs.tokenizer, {"encoder": "co_playlist"})
    assert "ResNet, bottleneck blocks [1, 1, 1, 1]" in model_card({}, model.config)
    assert {path.name for path in (tmp_path / "co_playlist").iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "training.json",
    }
