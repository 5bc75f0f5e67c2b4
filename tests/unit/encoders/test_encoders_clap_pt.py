"""CLAP-PT on a small ClapModel made here: the published loading code, both modalities, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from encoder_world import NUM_TRACKS, SILENT, UNNAMED, write_tracks
from training_world import RECIPE
from transformers import AutoTokenizer, ClapConfig, ClapFeatureExtractor, ClapModel

from larp_core.audio.mels.array import load_mels
from larp_core.config import EncodersConfig
from larp_core.encoders.clap_pt import MAX_TOKENS, load_clap
from larp_core.encoders.embedded import WeightsNotFound
from larp_core.evaluation.vectors import checked_footer
from larp_core.graph.job import Job
from larp_core.graph.registry import job_named
from larp_core.model.vocabulary import train_wordpiece
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import hash_file

WIDTH = 512


def save_clap(folder: Path, *, fusion: bool = False, rate_hz: int = 48_000) -> Path:
    tower = dict(
        patch_size=16,
        patch_stride=[16, 16],
        window_size=4,
        depths=[1, 1],
        num_attention_heads=[1, 2],
        num_hidden_layers=2,
        patch_embeds_hidden_size=8,
        hidden_size=16,
        enable_fusion=fusion,
    )
    text = dict(vocab_size=100, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    torch.manual_seed(0)
    ClapModel(ClapConfig(text_config=text, audio_config=tower, projection_dim=WIDTH)).save_pretrained(folder)
    train_wordpiece(["The track river 0 by stone"] * 2, 100).save_pretrained(folder)
    ClapFeatureExtractor(sampling_rate=rate_hz, frequency_min=50, truncation="rand_trunc").save_pretrained(folder)
    return folder


def embed(data_dir: Path, name: str) -> tuple[pl.DataFrame, dict[str, str], Job]:
    job = job_named("embeddings/clap_pt", write_tracks(data_dir, clap_pt=name), "mpd")
    job.work()
    path = job.paths.embeddings("clap_pt")
    return pl.read_parquet(path), pl.read_parquet_metadata(path), job


def test_vectors_are_claps_own_and_their_mean(tmp_path: Path) -> None:
    folder = save_clap(tmp_path / "clap")
    frame, footer, job = embed(tmp_path / "data", str(folder))
    assert frame["track_id"].to_list() == list(range(NUM_TRACKS))
    model, tokenizer = ClapModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    mel = torch.from_numpy(load_mels(job.paths)[0].astype(np.float32))[None, None]
    tokens = tokenizer("The track river 0 by stone", padding="max_length", max_length=MAX_TOKENS, return_tensors="pt")
    with torch.inference_mode():
        audio = model.get_audio_features(input_features=mel).pooler_output[0].numpy()
        text = model.get_text_features(tokens["input_ids"], tokens["attention_mask"]).pooler_output[0].numpy()
    row = frame.row(0, named=True)
    np.testing.assert_allclose(row["audio_vector"], audio, atol=1e-5)
    np.testing.assert_allclose(row["text_vector"], text, atol=1e-5)
    np.testing.assert_allclose(row["vector"], (audio + text) / 2, atol=1e-5)
    assert frame["audio_vector"][SILENT] is None and frame["text_vector"][UNNAMED] is None
    assert footer["weights_sha256"] == hash_file(folder / "model.safetensors")
    assert (footer["dimension"], footer["sample_rate_hz"], footer["pretrained"]) == (str(WIDTH), "48000", "true")
    assert checked_footer(job.paths, "clap_pt") == footer


def test_nothing_named_is_missing_and_a_hub_that_does_not_answer_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, footer, job = embed(tmp_path, "")
    assert frame.is_empty() and footer["missing"] == "weights not found: set LARP_CLAP_PT"
    assert not job.is_due_again()

    def no_answer(*_: object, **__: object) -> None:
        raise OSError("We couldn't connect\nto the hub")

    monkeypatch.setattr(ClapModel, "from_pretrained", no_answer)
    frame, footer, job = embed(tmp_path, "someone/clap")
    assert frame.is_empty() and footer["missing"].startswith(
        "weights not found: someone/clap: We couldn't connect; set"
    )
    assert job.is_due_again()
    by_recipe = dataclasses.replace(RECIPE, encoders=EncodersConfig(clap_pt="someone/clap"))
    job = job_named("embeddings/clap_pt", write_tracks(tmp_path, by_recipe), "mpd")
    assert job.work().facts["missing"].startswith("weights not found: someone/clap")
    assert job.is_due_again()


def test_vectors_made_elsewhere_will_do(tmp_path: Path) -> None:
    uris = [f"{n:022d}" for n in range(NUM_TRACKS)]
    made = tmp_path / "clap.parquet"
    pl.DataFrame({"track_uri": uris, "vector": [[1.0] * WIDTH] * NUM_TRACKS}).write_parquet(made)
    frame, _, _ = embed(tmp_path / "data", str(made))
    assert frame.height == NUM_TRACKS


def test_refused_weights(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a CLAP with fusion"):
        load_clap(str(save_clap(tmp_path / "fused", fusion=True)))
    with pytest.raises(UserError, match="hears 44100 Hz in 64 mels, the mels here are of 48000 Hz"):
        load_clap(str(save_clap(tmp_path / "slow", rate_hz=44_100)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsNotFound, match=r"weights not found: .*empty"):
        load_clap(str(tmp_path / "empty"))


def test_a_folder_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = save_clap(tmp_path / "clap") / "model.safetensors"
    tensors = load_file(file)
    del tensors["audio_projection.linear1.weight"]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lacks 1 weights of ClapModel, such as audio_projection.linear1.weight"):
        load_clap(str(tmp_path / "clap"))
