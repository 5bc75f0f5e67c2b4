"""The sound: periodic, bounded, alike for equal tracks, and audibly of its genre and mood."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from larp_core.config import WorldConfig
from larp_core.demo.catalogue import make_catalogue
from larp_core.demo.instruments import DRUMS, MAX_HARMONICS, drum, note, wavetable
from larp_core.demo.music import GENRES, MOODS, DemoTrack
from larp_core.demo.styles import STYLES
from larp_core.demo.synth import MP3_FRAME_SAMPLES, MP3_SAMPLE_RATE_HZ, make_plan, synthesise, synthesise_loop

CATALOGUE = make_catalogue(WorldConfig(num_tracks=300, num_artists=20))


def track_of(genre: str, mood: str, seed: int = 1) -> DemoTrack:
    return replace(CATALOGUE.tracks[0], genre=GENRES.index(genre), mood=MOODS.index(mood), seed=seed)


def band_levels_db(wave: np.ndarray) -> np.ndarray:
    """Level in 24 logarithmic bands from 50 to 14,000 Hz, from a plain Fourier transform; loudness taken out."""
    power = np.abs(np.fft.rfft(wave)) ** 2
    frequency_hz = np.fft.rfftfreq(wave.size, 1 / MP3_SAMPLE_RATE_HZ)
    edges = np.geomspace(50, 14_000, 25)
    band = np.digitize(frequency_hz, edges)
    levels = np.array([10 * np.log10(power[band == b].mean() + 1e-9) for b in range(1, 25)])
    return levels - levels.mean()


@pytest.mark.parametrize("genre", GENRES)
def test_loop_is_whole_frames_within_range_and_heard(genre: str) -> None:
    for mood in MOODS:
        loop = synthesise_loop(track_of(genre, mood))
        assert loop.dtype == np.float32 and loop.size % MP3_FRAME_SAMPLES == 0
        assert 4 <= loop.size / MP3_SAMPLE_RATE_HZ <= 13
        assert np.abs(loop).max() <= 1
        assert 0.02 < np.sqrt(np.mean(loop**2)) < 0.5


def test_synthesise_repeats_the_loop() -> None:
    track = CATALOGUE.tracks[5]
    loop = synthesise_loop(track)
    wave = synthesise(track, 30.0, MP3_SAMPLE_RATE_HZ)
    assert wave.shape == (960_000,)
    assert all(wave[i] == loop[i % loop.size] for i in range(0, wave.size, 997))


def test_same_track_same_samples_other_track_others() -> None:
    first, second = CATALOGUE.tracks[:2]
    assert np.array_equal(synthesise(first, 2.0, 16_000), synthesise(first, 2.0, 16_000))
    assert not np.array_equal(synthesise(first, 2.0, 16_000), synthesise(second, 2.0, 16_000))


def test_seam_of_the_loop_does_not_click() -> None:
    for genre in GENRES:
        loop = synthesise_loop(track_of(genre, "tender"))
        steps = np.abs(np.diff(loop))
        assert abs(loop[0] - loop[-1]) <= steps.max()


def test_sound_reaches_ten_kilohertz() -> None:
    loop = synthesise_loop(track_of("techno", "fierce"))
    power = np.abs(np.fft.rfft(loop)) ** 2
    frequency_hz = np.fft.rfftfreq(loop.size, 1 / MP3_SAMPLE_RATE_HZ)
    assert power[frequency_hz > 8_000].sum() > 1e-4 * power.sum()


def test_spectra_of_a_genre_are_nearer_to_each_other_than_to_other_genres() -> None:
    tracks = CATALOGUE.tracks[::6]
    levels = np.array([band_levels_db(synthesise_loop(track)) for track in tracks])
    genre = np.array([track.genre for track in tracks])
    distance = np.linalg.norm(levels[:, None] - levels[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    nearest_agrees = np.mean(genre[distance.argmin(axis=1)] == genre)
    assert nearest_agrees > 0.6, f"nearest neighbour by spectrum has the same genre in {nearest_agrees:.0%}"


def test_moods_change_tempo_brightness_and_loudness() -> None:
    def tempo_and_tilt(mood: str) -> tuple[float, float, float]:
        plans = [make_plan(track_of("rock", mood, seed)) for seed in range(40)]
        steps_per_frame = [plan.steps / plan.num_frames for plan in plans]
        return tuple(
            float(np.mean(v)) for v in (steps_per_frame, [p.tilt_db for p in plans], [p.level_db for p in plans])
        )

    for low, high in (("tender", "sunny"), ("gloomy", "fierce")):
        assert all(a < b for a, b in zip(tempo_and_tilt(low), tempo_and_tilt(high), strict=True))


def test_note_has_the_pitch_asked_for() -> None:
    voice = replace(STYLES["chamber"].lead, detune_cents=0.0)
    wave = note(voice, 440.0, 0.5, np.zeros(MAX_HARMONICS), 32_000)
    spectrum = np.abs(np.fft.rfft(wave))
    assert np.fft.rfftfreq(wave.size, 1 / 32_000)[spectrum.argmax()] == pytest.approx(440, abs=3)


def test_wavetable_is_the_sum_of_its_harmonics() -> None:
    voice = STYLES["folk"].chords
    colour_db = np.linspace(-3, 3, MAX_HARMONICS)
    table = wavetable(voice, 2_000.0, colour_db, 32_000)
    phase = 2 * np.pi * np.arange(table.size) / table.size
    slow = sum(
        h**-voice.roll_off * 10 ** (colour_db[h - 1] / 20) * (voice.even if h % 2 == 0 else 1) * np.sin(h * phase)
        for h in range(1, 8)
    )
    slow *= 0.35 / np.sqrt(np.mean(slow**2))
    assert np.allclose(table, slow, atol=1e-5)


@pytest.mark.parametrize("name", DRUMS)
def test_drums_start_loud_and_die_away(name: str) -> None:
    hit = drum(name, np.random.default_rng(0), 32_000)
    assert np.isfinite(hit).all()
    tenth = hit.size // 10
    assert np.abs(hit[:tenth]).max() > 5 * np.abs(hit[-tenth:]).max()
