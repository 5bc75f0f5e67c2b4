"""Log-mels: CLAP's own numbers, one row a clip in the order of ids, and an array even of nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
import torch
import torchaudio
from audio_files import chirp, job_of, write_tracks
from transformers import ClapFeatureExtractor

from larp_core.audio.acquire.acquisition import acquire_audio
from larp_core.audio.clips.cutting import resample
from larp_core.audio.clips.factory import build_clips
from larp_core.audio.decode import measure, read_window
from larp_core.audio.mels.array import load_mels
from larp_core.audio.mels.log_mel import log_mel
from larp_core.config import ClipConfig
from larp_core.graph.job import Job
from larp_core.runtime.errors import UserError
from larp_core.runtime.report import Report


def clap_mel(samples: np.ndarray) -> np.ndarray:
    """The slow twin: [1001, 64] as CLAP's own feature extractor computes it."""
    extractor = ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc")
    features = extractor(samples.astype(np.float64), sampling_rate=48_000, return_tensors="np")["input_features"]
    return features[0, 0]


@pytest.fixture(scope="module")
def waveforms() -> np.ndarray:
    noise = np.random.default_rng(3).normal(0, 0.1, 480_000)
    melody = chirp(10.0, 48_000, channels=1)[0]
    quiet = melody * 1e-3
    return np.stack([melody, noise, melody + 0.3 * noise, quiet]).astype(np.float32)


def assert_same_mels(mel: np.ndarray, expected: np.ndarray) -> None:
    """Within 1e-3 dB in every band of every frame, before the array's float16 rounds both."""
    assert mel.dtype == np.float32
    np.testing.assert_allclose(mel, expected, rtol=0, atol=1e-3)


def test_log_mels_are_those_of_clap(waveforms: np.ndarray) -> None:
    mels = log_mel(waveforms)
    assert mels.shape == (4, 1001, 64)
    for mel, samples in zip(mels, waveforms, strict=True):
        assert_same_mels(mel, clap_mel(samples))


def test_log_mels_of_real_music_are_those_of_clap(sample_data: Path) -> None:
    """The first two have bands far below a frame's loudest, the third has next to nothing but one tone."""
    for name in ("mdn__bassguitar.mp3", "mdn__drums.mp3", "librosa__147793__setuniman__sweet-waltz-0i-22mi.ogg"):
        path = sample_data / "audio" / name
        measured = measure(path)
        start = min(20.0, measured.duration_seconds - 10)
        samples = resample(*read_window(path, start, 10.0, measured), ClipConfig())
        assert_same_mels(log_mel(samples[None])[0], clap_mel(samples))


def test_torchaudio_gives_the_same_where_float32_filters_do_not_show(waveforms: np.ndarray) -> None:
    """The third witness, in float64: within 1e-3 dB in the bands up to 50 dB below a frame's loudest."""
    transform = torchaudio.transforms.MelSpectrogram(
        48_000, 1024, hop_length=480, n_mels=64, f_min=50, f_max=14_000, norm="slaney", mel_scale="slaney"
    ).double()
    power = transform(torch.from_numpy(waveforms).double()).clamp(min=1e-10)
    expected = (10 * torch.log10(power)).transpose(1, 2).numpy()
    is_audible = expected > expected.max(axis=2, keepdims=True) - 50
    assert is_audible.mean() > 0.3
    np.testing.assert_allclose(log_mel(waveforms)[is_audible], expected[is_audible], rtol=0, atol=1e-3)


def test_silence_is_the_floor_and_another_length_is_refused() -> None:
    np.testing.assert_allclose(log_mel(np.zeros((1, 480_000), np.float32)), np.full((1, 1001, 64), -100.0), atol=1e-5)
    with pytest.raises(ValueError, match="480000 samples at 48000 Hz, not 441000"):
        log_mel(np.zeros((1, 441_000), np.float32))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Report]:
    """Twenty tracks, one of which is broken, more than a batch; to be left as it is."""
    folder = tmp_path_factory.mktemp("built")
    music = folder / "music"
    music.mkdir()
    for index in range(20):
        soundfile.write(music / f"t{index}.flac", chirp(10.5, 8_000, 1, level=0.9 / (index + 1)).T, 8_000)
    (music / "t7.flac").write_text("broken")
    job = job_of("mels", folder / "data", mpd_dir=folder, audio_dir=music)
    write_tracks(job, [f"t{index}" for index in range(20)])
    acquire_audio(job.settings, job.dataset)
    build_clips(job.paths, job.recipe.clip)
    return job, job.work()


@pytest.fixture
def job(built: tuple[Job, Report], tmp_path: Path) -> Job:
    """A copy of `built`, mels and all, to be changed."""
    shutil.copytree(built[0].settings.data_dir, tmp_path / "data")
    return job_of("mels", tmp_path / "data", mpd_dir=tmp_path)


def test_rows_are_the_clips_in_the_order_of_ids(built: tuple[Job, Report]) -> None:
    job, report = built
    mels, rows = load_mels(job.paths), pl.read_parquet(job.paths.mel_rows)
    assert (mels.shape, mels.dtype) == ((19, 1001, 64), np.float16)
    assert isinstance(mels, np.memmap)
    assert rows.schema == pl.Schema({"track_id": pl.Int32, "clip_index": pl.Int32, "row": pl.Int32})
    assert rows["track_id"].to_list() == [i for i in range(20) if i != 7]
    assert rows["row"].to_list() == list(range(19))
    clips = pl.read_parquet(job.paths.clips)
    for track_id, row in ((0, 0), (8, 7), (19, 18)):
        path = clips.filter(pl.col("track_id") == track_id)["path"].item()
        samples = soundfile.read(job.paths.root / path, dtype="float32")[0]
        expected = log_mel(samples[None])[0]
        np.testing.assert_allclose(mels[row].astype(np.float32), expected, atol=0.04)  # half a step of float16 at 64
    assert report.num_rows == 19
    assert Path(report.pictures["log-mel spectrograms"]).read_bytes().startswith(b"\x89PNG")


def test_the_same_clips_give_the_same_bytes(job: Job) -> None:
    before = job.paths.mels.read_bytes()
    job.paths.mels.unlink()
    job.work()
    assert job.paths.mels.read_bytes() == before


def test_no_clips_are_an_empty_array(tmp_path: Path) -> None:
    job = job_of("mels", tmp_path / "data", mpd_dir=tmp_path)
    write_tracks(job, ["a"])
    acquire_audio(job.settings, job.dataset)
    build_clips(job.paths, job.recipe.clip)
    assert job.work().num_rows == 0
    assert load_mels(job.paths).shape == (0, 1001, 64)
    assert load_mels(job.paths).dtype == np.float16
    assert pl.read_parquet(job.paths.mel_rows).height == 0


def test_a_lost_clip_is_named_and_the_old_array_stays(job: Job) -> None:
    before = job.paths.mels.read_bytes()
    job.paths.mel_sources.unlink()  # else its row is taken from the old array
    lost = job.paths.root / pl.read_parquet(job.paths.clips)["path"][3]
    lost.unlink()
    with pytest.raises(UserError, match=lost.name):
        job.work()
    assert job.paths.mels.read_bytes() == before
    assert not list(job.paths.root.glob(".*partial*"))
