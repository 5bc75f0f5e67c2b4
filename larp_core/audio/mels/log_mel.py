"""Log-mel spectrograms as CLAP's HTS-AT takes them, with NumPy and SciPy alone: the same for the files and the model.

The transform is in float64 and so are the filters and the window. In float32, as torchaudio has it, quiet bands beside
loud ones are off by up to 0.07 dB: rounding in the transform is relative to a frame's loudest bin, and the weights at a
filter's edges, near zero, are off by half of themselves. All that follows only adds positive numbers and is in float32.
Small blocks of frames that stay in the processor's cache make it faster than float32 in large ones.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import scipy.fft

SAMPLE_RATE_HZ = 48_000
NUM_SAMPLES = 480_000
NUM_FRAMES = 1_001
NUM_MELS = 64
FREQUENCY_RANGE_HZ = (50.0, 14_000.0)
POWER_FLOOR = 1e-10

WINDOW_SAMPLES, HOP_SAMPLES = 1_024, 480
FRAMES_PER_BLOCK = 143
"""A seventh of a clip's: a block takes 1.2 MB."""


def log_mel(waveforms: np.ndarray) -> np.ndarray:
    """Log-mel power in dB, float32 [B, 1001, 64], of 48 kHz mono clips [B, 480000].

    The same numbers as `transformers.ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc")`, within 1e-3 dB
    everywhere (measured: 1e-5), in a quarter of its time.

    Raises:
        ValueError: another number of samples, which would mean another rate or length.
    """
    if waveforms.shape[-1] != NUM_SAMPLES:
        raise ValueError(f"a clip has {NUM_SAMPLES} samples at {SAMPLE_RATE_HZ} Hz, not {waveforms.shape[-1]}")
    mels = np.empty((len(waveforms), NUM_FRAMES, NUM_MELS), np.float32)
    for waveform, mel in zip(waveforms, mels, strict=True):
        _mel_power(waveform, mel)
    np.maximum(mels, POWER_FLOOR, out=mels)
    np.log10(mels, out=mels)
    mels *= 10
    return mels


@cache
def mel_filters() -> np.ndarray:
    """The filter bank, float64 [513, 64], Slaney's scale and norm: what a checkpoint's own can be compared with."""
    import librosa

    low_hz, high_hz = FREQUENCY_RANGE_HZ
    return librosa.filters.mel(
        sr=SAMPLE_RATE_HZ,
        n_fft=WINDOW_SAMPLES,
        n_mels=NUM_MELS,
        fmin=low_hz,
        fmax=high_hz,
        htk=False,
        norm="slaney",
        dtype=np.float64,
    ).T


@cache
def _window_and_filters() -> tuple[np.ndarray, np.ndarray]:
    """A periodic Hann window, float64 [1024], and the bins below 14 kHz of the filter bank, float32 [299, 64]."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES)
    filters = mel_filters()
    num_bins = int(np.flatnonzero(filters.any(axis=1))[-1]) + 1
    return window, np.ascontiguousarray(filters[:num_bins], np.float32)


def _mel_power(waveform: np.ndarray, mel: np.ndarray) -> None:
    """Fills `mel` [1001, 64] from a waveform [480000], frames centred on their times and mirrored at both ends."""
    window, filters = _window_and_filters()
    padded = np.pad(waveform, WINDOW_SAMPLES // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]
    for first in range(0, NUM_FRAMES, FRAMES_PER_BLOCK):
        block = slice(first, first + FRAMES_PER_BLOCK)
        bins = scipy.fft.rfft(frames[block] * window)[:, : len(filters)]
        power = (np.square(bins.real) + np.square(bins.imag)).astype(np.float32)
        np.matmul(power, filters, out=mel[block])
