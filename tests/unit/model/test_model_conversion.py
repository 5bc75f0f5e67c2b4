"""Published checkpoints: what they compute in their own architecture, ours computes with the converted weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from published_weights import (
    DEPTHS,
    HEADS,
    WIDTH,
    State,
    bert_forward,
    htsat_forward,
    htsat_state,
    larp_state,
    own_filters,
    under,
)
from safetensors.torch import save_file
from torch.nn import functional as F
from transformers import AutoModel, AutoProcessor, BertTokenizer, ClapAudioModel

from larp_core.__main__ import main
from larp_core.config import AudioTowerConfig
from larp_core.config.recipes import SMOKE
from larp_core.model.configuration_larp import LarpConfig
from larp_core.model.convert import ConversionReport, convert_audio_tower, convert_larp, kind_of, read_checkpoint
from larp_core.model.modeling_larp import LarpModel
from larp_core.model.pretrained import build_model
from larp_core.model.published import audio_config_of, convert_checkpoint, text_config_of
from larp_core.runtime.errors import UserError

PREFIXES = {"htsat": "sed_model.", "laion_clap": "module.audio_branch.", "larp": "module.audio_encoder."}
MEL = torch.randn(2, 1, 1001, 64, generator=torch.Generator().manual_seed(0)) * 10 - 30


def author_checkpoint() -> State:
    return htsat_state("sed_model.")


def laion_checkpoint() -> State:
    state = htsat_state("module.audio_branch.", mel_filters=own_filters())
    state["module.logit_scale_a"] = torch.zeros(())
    state["module.text_branch.embeddings.word_embeddings.weight"] = torch.randn(5, 4)
    state["module.audio_projection.0.weight"] = torch.randn(4, 4)
    state["module.audio_branch.patch_embed.mel_conv2d.weight"] = torch.randn(WIDTH, 1, 4, 12)
    return state


def save(folder: Path, state: State, wrapper: str = "state_dict") -> Path:
    path = folder / "weights.ckpt"
    torch.save({wrapper: state, "epoch": 3}, path)
    return path


def tokenizer_folder(folder: Path) -> str:
    """38 words and, as in BERT, five special tokens among them; the published code adds two."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{n}" for n in range(33))]
    BertTokenizer(vocab={word: n for n, word in enumerate(words)}).save_pretrained(folder / "tokenizer")
    return str(folder / "tokenizer")


@pytest.mark.parametrize(("kind", "checkpoint"), [("htsat", author_checkpoint), ("laion_clap", laion_checkpoint)])
def test_a_converted_audio_tower_computes_what_the_authors_does(kind: str, checkpoint: object, tmp_path: Path) -> None:
    state = checkpoint()  # type: ignore[operator]
    report = convert_checkpoint(save(tmp_path, state), tmp_path / "out", kind)
    tower = ClapAudioModel.from_pretrained(tmp_path / "out").eval()
    assert report.complete and not report.kept
    assert len(report.matched) == sum(1 for name in tower.state_dict() if "position_index" not in name)
    with torch.no_grad():
        ours = tower(input_features=MEL).pooler_output
    expected = htsat_forward(under(state, PREFIXES[kind]), MEL)
    assert ours.std() > 0.1
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=0)


def test_a_published_larp_computes_what_it_did(tmp_path: Path) -> None:
    state = larp_state()
    wrapped = {f"module.{name}": value for name, value in state.items()}
    report = convert_checkpoint(save(tmp_path, wrapped, "model"), tmp_path / "out", None, tokenizer_folder(tmp_path))
    assert report.complete and report.notes == ()
    assert {"audio_queue", "audio_features_all", "text_encoder_m.embeddings.LayerNorm.bias"} <= set(report.left_out)
    model = AutoModel.from_pretrained(tmp_path / "out").eval()
    ids, mask = torch.randint(5, 40, (3, 6)), torch.tensor([[1] * 6, [1] * 4 + [0] * 2, [1] * 6])
    with torch.no_grad():
        out = model(input_features=MEL), model.get_text_features(ids, mask)
    audio = htsat_forward(under(state, "audio_encoder."), MEL) @ state["audio_proj.weight"].T + state["audio_proj.bias"]
    text = (
        bert_forward(under(state, "text_encoder."), ids, mask) @ state["text_proj.weight"].T + state["text_proj.bias"]
    )
    torch.testing.assert_close(out[0].audio_embeds, F.normalize(audio, dim=-1), atol=1e-4, rtol=0)
    torch.testing.assert_close(out[1], F.normalize(text, dim=-1), atol=1e-4, rtol=0)
    for ours, theirs in (("query", "w_q"), ("key", "w_k"), ("value", "w_v")):
        expected = state[f"playlist_constructor.transformer_encoder.0.{theirs}.weight"]
        assert torch.equal(getattr(model.playlist_fusion, ours).weight, expected)
    processor = AutoProcessor.from_pretrained(tmp_path / "out")
    assert len(processor.tokenizer) == 40 and processor.tokenizer.model_max_length == 30


def test_a_larp_without_fusion_says_what_the_fusion_holds(tmp_path: Path) -> None:
    path = save(tmp_path, larp_state(fusion=False), "model")
    report = convert_checkpoint(path, tmp_path / "out", "larp", tokenizer_folder(tmp_path))
    assert {name for name in report.kept if "fusion" in name} == {
        f"playlist_fusion.{part}.weight" for part in ("query", "key", "value")
    }


def test_the_authors_32_khz_filters_are_noticed_and_ours_are_not() -> None:
    other = convert_audio_tower(author_checkpoint(), "htsat", tower_of(author_checkpoint()))
    same = convert_audio_tower(
        htsat_state("sed_model.", mel_filters=own_filters()),
        "htsat",
        tower_of(author_checkpoint()),
    )
    assert "48 kHz" in other.notes[0] and same.notes == ()


def tower_of(state: State) -> ClapAudioModel:
    return ClapAudioModel(audio_config_of(under(state, "sed_model.")))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda s: s.pop("sed_model.layers.1.blocks.0.mlp.fc1.bias"),
            "1 missing: audio_encoder.layers.1.blocks.0.inter",
        ),
        (lambda s: s.update({"sed_model.layers.0.blocks.9.norm1.bias": torch.zeros(WIDTH)}), "1 unexpected"),
        (lambda s: s.update({"sed_model.surprise": torch.zeros(1)}), "1 unexpected: surprise"),
        (lambda s: s.update({"sed_model.norm.bias": torch.zeros(3)}), "1 misshapen: audio_encoder.norm.bias"),
        (lambda s: s.update({"sed_model.layers.0.blocks.0.attn.qkv.bias": torch.zeros(6)}), "3 misshapen"),
    ],
)
def test_less_than_a_full_match_is_refused_and_nothing_is_loaded(change: object, told: str) -> None:
    state, tower = author_checkpoint(), tower_of(author_checkpoint())
    before = {name: value.clone() for name, value in tower.state_dict().items()}
    change(state)  # type: ignore[operator]
    with pytest.raises(UserError, match=told):
        convert_audio_tower(state, "htsat", tower)
    assert all(torch.equal(before[name], value) for name, value in tower.state_dict().items())


def test_renaming_to_audio_branch_as_the_published_code_does_is_refused() -> None:
    renamed = {name.replace("sed_model.", "sed_model.audio_branch."): v for name, v in author_checkpoint().items()}
    with pytest.raises(UserError, match="0 weights matched"):
        convert_audio_tower(renamed, "htsat", tower_of(author_checkpoint()))


def test_a_larp_with_a_lost_projection_is_refused() -> None:
    state = larp_state()
    del state["text_proj.bias"]
    audio = audio_config_of(under(state, "audio_encoder."))
    model = LarpModel(LarpConfig(audio, text_config_of(state), len(state["audio_proj.weight"])))
    with pytest.raises(UserError, match=r"1 missing: text_projection\.bias"):
        convert_larp(state, model)


def test_a_recipe_takes_a_checkpoint_file_or_a_converted_folder(tmp_path: Path) -> None:
    path = save(tmp_path, author_checkpoint())
    convert_checkpoint(path, tmp_path / "out")
    expected = htsat_forward(under(author_checkpoint(), "sed_model."), MEL)
    for source in (path, tmp_path / "out"):
        audio = AudioTowerConfig(depths=DEPTHS, heads=HEADS, width=WIDTH, pretrained=str(source))
        model = build_model(dataclasses.replace(SMOKE.model, audio=audio), vocab_size=50, seed=1).eval()
        with torch.no_grad():
            np.testing.assert_allclose(model.pooled_audio(MEL), expected, atol=1e-4)


def test_a_recipe_with_towers_of_another_size_is_refused(tmp_path: Path) -> None:
    audio = AudioTowerConfig(
        depths=(2, 1, 1, 1), heads=HEADS, width=WIDTH, pretrained=str(save(tmp_path, author_checkpoint()))
    )
    with pytest.raises(UserError, match=r"unexpected: audio_encoder\.layers\.1\.blocks\.1"):
        build_model(dataclasses.replace(SMOKE.model, audio=audio), vocab_size=50, seed=1)


def test_kinds_are_told_by_names() -> None:
    assert kind_of(author_checkpoint()) == "htsat"
    assert kind_of({name.removeprefix("module."): v for name, v in laion_checkpoint().items()}) == "laion_clap"
    assert kind_of(larp_state()) == "larp" and kind_of({"encoder.weight": torch.zeros(1)}) is None


def test_unreadable_checkpoints_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "absent.ckpt")
    (tmp_path / "text.ckpt").write_text("hello")
    with pytest.raises(UserError, match="not readable as tensors alone"):
        read_checkpoint(tmp_path / "text.ckpt")
    torch.save({"state_dict": {}, "hook": print}, tmp_path / "code.ckpt")
    with pytest.raises(UserError, match="not readable as tensors alone"):
        read_checkpoint(tmp_path / "code.ckpt")
    torch.save({"epoch": 3}, tmp_path / "empty.ckpt")
    with pytest.raises(UserError, match="holds no weights"):
        read_checkpoint(tmp_path / "empty.ckpt")


def test_safetensors_are_read_too(tmp_path: Path) -> None:
    save_file({"module.a": torch.ones(2)}, tmp_path / "weights.safetensors")
    assert torch.equal(read_checkpoint(tmp_path / "weights.safetensors")["a"], torch.ones(2))


def test_the_command_converts_or_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path, author_checkpoint())
    assert main(["convert", str(path), str(tmp_path / "out")]) == 0
    assert "0 missing" in capsys.readouterr().out and (tmp_path / "out" / "model.safetensors").exists()
    assert main(["convert", str(path), str(tmp_path / "out"), "--kind", "larp"]) == 2
    assert "not a checkpoint of the kind larp" in capsys.readouterr().err


def test_a_report_without_a_match_is_not_complete() -> None:
    assert not ConversionReport((), (), ()).complete
