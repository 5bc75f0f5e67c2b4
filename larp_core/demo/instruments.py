"""Single sounds of the demo world: a note of a voice, a hit of a drum. Float32 waveforms, about 1 at their peak."""

from __future__ import annotations

import numpy as np

from larp_core.demo.styles import Voice

TABLE_SAMPLES = 2048
MAX_HARMONICS = 48
HIGHEST_HARMONIC_HZ = 14_000.0
BITE_SECONDS = 0.06
RELEASE_SECONDS = 0.03
"""Notes end in a short fade instead of a click."""


def note(voice: Voice, frequency_hz: float, seconds: float, colour_db: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """One note, `[round(seconds * sample_rate_hz)]`. `colour_db[MAX_HARMONICS]` colours the player's instrument."""
    time = np.arange(max(round(seconds * sample_rate_hz), 2), dtype=np.float32) / np.float32(sample_rate_hz)
    table = wavetable(voice, frequency_hz, colour_db, sample_rate_hz)
    wave = _read(table, time, frequency_hz)
    if voice.detune_cents:
        wave = 0.6 * (wave + _read(table, time, frequency_hz * 2 ** (voice.detune_cents / 1200)))
    wave *= np.exp(time * np.float32(-1 / voice.decay_seconds))
    if voice.bite:
        length = min(time.size, round(4 * BITE_SECONDS * sample_rate_hz))
        bright = wavetable(voice, frequency_hz, colour_db, sample_rate_hz, brighter=0.9)
        fall = np.exp(time[:length] * np.float32(-1 / BITE_SECONDS))
        wave[:length] += np.float32(voice.bite) * fall * _read(bright, time[:length], frequency_hz)
    return _faded(wave, voice.attack_seconds, sample_rate_hz)


def wavetable(
    voice: Voice, frequency_hz: float, colour_db: np.ndarray, sample_rate_hz: int, brighter: float = 0.0
) -> np.ndarray:
    """One period of the voice at this pitch, `[TABLE_SAMPLES]`, without harmonics that would alias."""
    highest = min(HIGHEST_HARMONIC_HZ, 0.47 * sample_rate_hz)
    harmonics = np.arange(1, max(2, min(MAX_HARMONICS, int(highest / frequency_hz)) + 1))
    amplitude = harmonics ** -max(voice.roll_off - brighter, 0.3) * 10 ** (colour_db[: harmonics.size] / 20)
    amplitude[1::2] *= voice.even
    spectrum = np.zeros(TABLE_SAMPLES // 2 + 1, dtype=np.complex64)
    spectrum[harmonics] = -1j * amplitude
    table = np.fft.irfft(spectrum).astype(np.float32)
    return table * np.float32(0.35 / np.sqrt(np.mean(table**2)))


def _read(table: np.ndarray, time: np.ndarray, frequency_hz: float) -> np.ndarray:
    phase = (time * np.float32(frequency_hz * TABLE_SAMPLES)).astype(np.int32)
    return table[phase & (TABLE_SAMPLES - 1)]


def _faded(wave: np.ndarray, attack_seconds: float, sample_rate_hz: int) -> np.ndarray:
    attack = min(max(round(attack_seconds * sample_rate_hz), 8), wave.size)
    wave[:attack] *= np.linspace(0, 1, attack, dtype=np.float32)
    release = min(round(RELEASE_SECONDS * sample_rate_hz), wave.size // 2)
    wave[-release:] *= np.linspace(1, 0, release, dtype=np.float32)
    return wave


def drum(name: str, rng: np.random.Generator, sample_rate_hz: int) -> np.ndarray:
    """One hit. Raises KeyError for an unknown drum."""
    pitch_hz, sweep, tone, noise, high_pass, decay_seconds = DRUMS[name]
    time = np.arange(round(5 * decay_seconds * sample_rate_hz), dtype=np.float32) / np.float32(sample_rate_hz)
    fall = np.exp(time * np.float32(-1 / decay_seconds))
    hiss = rng.standard_normal(time.size + high_pass, dtype=np.float32)
    for _ in range(high_pass):
        hiss = np.diff(hiss) * np.float32(0.6)
    phase = 2 * np.pi * pitch_hz * (time + sweep * 0.02 * (1 - np.exp(-time / 0.02)))
    return _faded(
        fall * (np.float32(tone) * np.sin(phase, dtype=np.float32) + np.float32(noise) * hiss), 0.0, sample_rate_hz
    )


DRUMS: dict[str, tuple[float, float, float, float, int, float]] = {
    "kick": (48, 4.0, 1.0, 0.02, 0, 0.12),
    "snare": (190, 0.5, 0.4, 0.35, 0, 0.07),
    "clap": (900, 0.0, 0.05, 0.4, 1, 0.06),
    "rim": (1700, 0.0, 0.5, 0.1, 1, 0.012),
    "hat": (8000, 0.0, 0.0, 0.3, 2, 0.025),
    "shaker": (6000, 0.0, 0.0, 0.25, 2, 0.04),
    "ride": (5200, 0.0, 0.06, 0.22, 2, 0.16),
    "crash": (3400, 0.0, 0.03, 0.4, 1, 0.4),
    "zap": (220, 6.0, 0.4, 0.3, 0, 0.05),
}
"""Name: pitch in Hz, how far it falls, levels of tone and noise, order of the noise's high-pass, decay in seconds."""
