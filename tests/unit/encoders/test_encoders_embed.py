"""Embeddings from files to files, on a dataset of a few tracks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from encoder_world import NUM_TRACKS, SILENT, UNNAMED, write_tracks
from training_world import RECIPE, make_inputs

from larp_core.config.settings import Settings
from larp_core.config.stages import STAGES
from larp_core.evaluation.vectors import checked_footer
from larp_core.graph.registry import job_named
from larp_core.runtime.files import hash_file, write_parquet
from larp_core.training.stages import run_stage, save_model


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The tracks of `encoder_world`, and `larp_wtc` trained."""
    settings = write_tracks(tmp_path_factory.mktemp("data"))
    inputs = make_inputs()
    model, _ = run_stage(STAGES["larp_wtc"], inputs, RECIPE, None)
    save_model(settings.paths("mpd").model("larp_wtc"), model, inputs.tokenizer, {})
    return settings


def embed(settings: Settings, encoder: str) -> tuple[pl.DataFrame, dict[str, str], Path]:
    job = job_named(f"embeddings/{encoder}", settings, "mpd")
    report = job.work()
    path = job.paths.embeddings(encoder)
    frame = pl.read_parquet(path)
    assert report.num_rows == len(frame) and frame.schema["track_id"] == pl.Int32
    assert frame.schema["vector"] == pl.List(pl.Float32)
    return frame, pl.read_parquet_metadata(path), path


def test_mel_statistics_are_standardised_means_and_deviations(settings: Settings) -> None:
    frame, footer, _ = embed(settings, "mel_statistics")
    assert frame["track_id"].to_list() == [n for n in range(NUM_TRACKS) if n != SILENT]
    mels = np.load(settings.paths("mpd").mels).astype(np.float64)
    statistics = np.array([[*mel.mean(0), *mel.std(0)] for mel in mels])
    train = statistics[:5]
    expected = (statistics - train.mean(0)) / train.std(0)
    np.testing.assert_allclose(np.stack(frame["vector"].to_list()), expected, atol=0.02)
    assert footer["weights_sha256"] == ""


@pytest.mark.parametrize(("encoder", "unseen", "width"), [("bert", UNNAMED, 128), ("htsat", SILENT, 192)])
def test_single_towers_see_their_own_modality_and_are_called_untrained(
    settings: Settings, encoder: str, unseen: int, width: int
) -> None:
    frame, footer, path = embed(settings, encoder)
    assert frame["track_id"].to_list() == [n for n in range(NUM_TRACKS) if n != unseen]
    assert len(frame["vector"][0]) == width
    assert footer["pretrained"] == "false"
    first = hash_file(path)
    embed(settings, encoder)
    assert hash_file(path) == first


def test_two_towers_average_what_a_track_has(settings: Settings) -> None:
    frame, footer, _ = embed(settings, "larp_wtc")
    rows = {row["track_id"]: row for row in frame.iter_rows(named=True)}
    assert len(rows) == NUM_TRACKS
    both = rows[0]
    np.testing.assert_allclose(both["vector"], np.mean([both["audio_vector"], both["text_vector"]], axis=0), atol=1e-6)
    assert rows[SILENT]["audio_vector"] is None and rows[SILENT]["vector"] == rows[SILENT]["text_vector"]
    assert rows[UNNAMED]["text_vector"] is None and rows[UNNAMED]["vector"] == rows[UNNAMED]["audio_vector"]
    weights = settings.paths("mpd").model("larp_wtc") / "model.safetensors"
    assert footer["weights_sha256"] == hash_file(weights) and footer["pretrained"] == "true"


def test_an_encoder_that_sees_no_track_says_so(tmp_path: Path) -> None:
    silent = write_tracks(tmp_path)
    paths = silent.paths("mpd")
    write_parquet(pl.read_parquet(paths.mel_rows).clear(), paths.mel_rows)
    np.save(paths.mels, np.empty((0, 1001, 64), np.float16))
    for encoder in ("mel_statistics", "htsat"):
        frame, footer, _ = embed(silent, encoder)
        assert frame.is_empty() and footer["missing"] == "no track has a clip"


def test_the_footer_tells_what_made_the_vectors(settings: Settings) -> None:
    _, footer, _ = embed(settings, "larp_wtc")
    assert {"encoder", "encoder_version", "licence", "source", "sample_rate_hz", "dimension"} <= set(footer)
    assert (footer["encoder"], footer["sample_rate_hz"], footer["dimension"]) == ("larp_wtc", "48000", "256")
    assert checked_footer(settings.paths("mpd"), "larp_wtc") == footer


def test_co_playlist_gives_the_vectors_of_tracks_with_a_clip(settings: Settings) -> None:
    inputs, folder = make_inputs(), settings.paths("mpd").model("co_playlist")
    model, _ = run_stage(STAGES["co_playlist"], inputs, RECIPE, None)
    save_model(folder, model, inputs.tokenizer, {})
    frame, footer, _ = embed(settings, "co_playlist")
    assert frame["track_id"].to_list() == [n for n in range(NUM_TRACKS) if n != SILENT]
    mels = torch.from_numpy(np.load(settings.paths("mpd").mels).astype(np.float32)).unsqueeze(1)
    with torch.inference_mode():
        expected = model.eval().get_audio_features(mels).numpy()
    np.testing.assert_allclose(np.stack(frame["vector"].to_list()), expected, atol=0.02)  # bf16 or not
    assert footer["weights_sha256"] == hash_file(folder / "model.safetensors")
