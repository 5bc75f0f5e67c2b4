"""Cutting: exactly 480,000 samples at any rate, the bytes of the FLAC, what is flagged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from larp_core.audio.clips.cutting import encode_flac, resample, warning_of
from larp_core.config import ClipConfig

CONFIG = ClipConfig()


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_resampling_gives_exactly_ten_seconds_of_the_same_tone(rate_hz: int) -> None:
    def tone(rate: int) -> np.ndarray:
        return np.sin(2 * np.pi * 440 * np.arange(10 * rate) / rate).astype(np.float32)

    resampled = resample(tone(rate_hz), rate_hz, CONFIG)
    assert resampled.shape == (480_000,)
    np.testing.assert_allclose(resampled[4_800:-4_800], tone(48_000)[4_800:-4_800], atol=2e-3)


def test_a_clips_bytes_are_those_that_libsndfile_writes_of_floats(tmp_path: Path) -> None:
    """Beyond full scale too, and where half a step is rounded."""
    noise = np.random.default_rng(1).normal(0, 0.6, 48_000).astype(np.float32)
    steps = ((np.arange(-40_000, 40_000) + 0.5) / 32_768).astype(np.float32)
    for samples in (noise, steps, np.array([1, -1, 0, 32_767 / 32_768], np.float32)):
        soundfile.write(tmp_path / "twin.flac", samples, 48_000, subtype="PCM_16", format="FLAC")
        assert encode_flac(samples, 48_000) == (tmp_path / "twin.flac").read_bytes()


def test_warnings() -> None:
    assert warning_of(np.zeros(100, np.float32)) == "silent"
    assert warning_of(np.full(100, 1.0, np.float32)) == "clipped: 100.0% of samples at full scale"
    assert warning_of(np.full(100, 0.5, np.float32)) == ""
