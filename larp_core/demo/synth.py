"""From a track's attributes to its sound: a loop of four chords with chords, bass, lead and drums, repeated to the end.

The loop is a whole number of MP3 frames at `MP3_SAMPLE_RATE_HZ` and is periodic (tails of notes and reverb wrap
around), so that `larp_core.demo.mp3` need encode it once only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from larp_core.demo.instruments import MAX_HARMONICS, drum, note
from larp_core.demo.music import GENRES, MOODS, DemoTrack, random_generator
from larp_core.demo.styles import MOOD_SOUNDS, STYLES, MoodSound, Style, Voice

SYNTH_VERSION = 1
MP3_SAMPLE_RATE_HZ = 32_000
MP3_FRAME_SAMPLES = 1152
FRAME_SECONDS = MP3_FRAME_SAMPLES / MP3_SAMPLE_RATE_HZ
LONGEST_LOOP_SECONDS = 11.6
STEPS_PER_BAR = 16
CHORDS_PER_LOOP = 4
BASE_TILT_DB = -1.5
"""Per octave, on everything: recorded music falls towards its treble."""

SCALES = {False: (0, 2, 4, 5, 7, 9, 11), True: (0, 2, 3, 5, 7, 8, 10)}
"""Semitones of the major (False) and the natural minor scale (True)."""

PROGRESSIONS = {
    False: ((0, 4, 5, 3), (0, 3, 4, 0), (0, 5, 3, 4), (3, 0, 4, 5), (0, 2, 3, 4)),
    True: ((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 6), (0, 5, 3, 4), (0, 3, 6, 2)),
}
CHORD_DEGREES = {"triad": (0, 2, 4), "seventh": (0, 2, 4, 6), "power": (0, 4, 7)}
BASS_REGISTER, CHORD_REGISTER, LEAD_REGISTER = 36, 54, 66
"""MIDI numbers that the parts lie around."""


@dataclass(frozen=True)
class Note:
    """`start` and `length` in sixteenths from the loop's start; `pitch` a MIDI number."""

    start: float
    length: float
    pitch: int
    velocity: float


@dataclass(frozen=True)
class LoopPlan:
    """What a track is going to sound like, all random choices but the notes made."""

    style: Style
    mood: MoodSound
    bars: int
    num_frames: int
    key: int
    tilt_db: float
    level_db: float
    part_levels_db: tuple[float, float, float, float]
    """Of chords, bass, lead and drums."""

    @property
    def steps(self) -> int:
        return self.bars * STEPS_PER_BAR


def synthesise(track: DemoTrack, seconds: float, sample_rate_hz: int) -> np.ndarray:
    """The first `seconds` of a track, float32 mono `[round(seconds * sample_rate_hz)]` within -1 to 1."""
    loop = synthesise_loop(track, sample_rate_hz)
    return np.resize(loop, round(seconds * sample_rate_hz))


def synthesise_loop(track: DemoTrack, sample_rate_hz: int = MP3_SAMPLE_RATE_HZ) -> np.ndarray:
    """The part that a track repeats, float32 mono, 4 to 12 s: a whole number of MP3 frames at MP3_SAMPLE_RATE_HZ."""
    plan = make_plan(track)
    rng = random_generator("notes", track.seed)
    chords, bass, lead = _write_parts(plan, rng)
    colour_rng = random_generator("colour", track.artist.timbre_seed)
    band = _Band(plan, sample_rate_hz)
    voices = [
        replace(voice, decay_seconds=voice.decay_seconds * plan.mood.decay_factor)
        for voice in (plan.style.chords, plan.style.bass, plan.style.lead)
    ]
    played = [
        band.play(voice, notes, level, colour_rng.normal(0, 3.5, MAX_HARMONICS))
        for voice, notes, level in zip(voices, (chords, bass, lead), plan.part_levels_db, strict=False)
    ]
    driven = played[0] + played[2]
    if plan.style.drive:
        driven = np.tanh(driven * np.float32(1 + plan.style.drive)) * np.float32(0.5)
    mix = driven + played[1] + band.drums(rng)
    mix += rng.standard_normal(mix.size, dtype=np.float32) * np.float32(_gain(plan.style.hiss_db))
    return _master(mix, plan, rng, sample_rate_hz)


def make_plan(track: DemoTrack) -> LoopPlan:
    """Genre gives the instruments, mood bends tempo, brightness and dynamics, artist and track add their own bias."""
    style, mood = STYLES[GENRES[track.genre]], MOOD_SOUNDS[MOODS[track.mood]]
    rng = random_generator("plan", track.seed)
    tempo_bpm = style.tempo_bpm * mood.tempo_factor * track.artist.tempo_factor * np.exp(rng.normal(0, 0.05))
    bar_seconds = 4 * 60 / tempo_bpm
    bars = 4 if 4 * bar_seconds <= LONGEST_LOOP_SECONDS else 2
    jitter = rng.normal(0, 1, 6)
    return LoopPlan(
        style=style,
        mood=mood,
        bars=bars,
        num_frames=_smooth_number(bars * bar_seconds / FRAME_SECONDS),
        key=(track.artist.key + (0, 0, 5, 7)[int(rng.integers(4))]) % 12 - 6,
        tilt_db=BASE_TILT_DB + mood.tilt_db + 0.7 * track.artist.brightness + 0.5 * float(jitter[0]),
        level_db=mood.level_db + 1.5 * float(jitter[1]),
        part_levels_db=(
            2.0 * float(jitter[2]),
            2.0 * float(jitter[3]),
            3.0 * float(jitter[4]),
            mood.drums_db + 2.0 * float(jitter[5]),
        ),
    )


def _smooth_number(target: float) -> int:
    """The integer nearest to `target` without a prime factor above 5: Fourier transforms of such lengths are fast."""
    powers = [2**a * 3**b * 5**c for a in range(12) for b in range(8) for c in range(6)]
    return min(powers, key=lambda number: (abs(number - target), number))


def _write_parts(plan: LoopPlan, rng: np.random.Generator) -> tuple[list[Note], list[Note], list[Note]]:
    """Chords, bass and lead of the loop."""
    scale = SCALES[plan.mood.minor]
    progressions = PROGRESSIONS[plan.mood.minor]
    progression = progressions[int(rng.integers(len(progressions)))]
    span = plan.steps // CHORDS_PER_LOOP

    def pitch(degree: int, register: int) -> int:
        return register + plan.key + scale[degree % 7] + 12 * (degree // 7)

    def root_at(step: int) -> int:
        return progression[min(step // span, CHORDS_PER_LOOP - 1)]

    chords, bass, lead = [], [], []
    for step, length, velocity in _hits(plan, plan.style.chord_pattern):
        degrees = [root_at(step) + extra for extra in CHORD_DEGREES[plan.style.chord_kind]]
        if plan.style.arpeggio:
            degrees = [degrees[(step // 2 if plan.bars == 4 else step) % len(degrees)]]
        chords += [Note(_swung(plan, step), length, pitch(degree, CHORD_REGISTER), velocity) for degree in degrees]
    for step, length, velocity in _hits(plan, plan.style.bass_pattern):
        degree = root_at(step) + (4 if rng.random() < 0.2 and step % span else 0)
        bass.append(Note(_swung(plan, step), length, pitch(degree % 7, BASS_REGISTER), velocity))
    degree = int(rng.integers(0, 7))
    for step in range(0, plan.steps, 2):
        if rng.random() > plan.style.lead_density * plan.mood.density * (1.0 if step % 4 == 0 else 0.7):
            continue
        degree = int(np.clip(degree + rng.integers(-2, 3), -3, 10))
        if step % span == 0:
            degree = root_at(step) + 2 * int(rng.integers(3))
        lead.append(Note(_swung(plan, step), float(rng.integers(2, 6)), pitch(degree, LEAD_REGISTER), 0.9))
    return chords, bass, lead


def _hits(plan: LoopPlan, pattern: str) -> list[tuple[int, int, float]]:
    """Step, steps until the next hit, and velocity, of a bar's pattern through the whole loop."""
    starts = [step for step in range(plan.steps) if pattern[step % STEPS_PER_BAR] != "."]
    ends = [*starts[1:], plan.steps + starts[0]]
    return [
        (start, end - start, 1.0 if pattern[start % STEPS_PER_BAR] == "x" else 0.55)
        for start, end in zip(starts, ends, strict=True)
    ]


def _swung(plan: LoopPlan, step: int) -> float:
    return step + (plan.style.swing if step % 4 == 2 else 0.0)


class _Band:
    """Plays notes into a loop; what runs over its end comes in again at its start."""

    def __init__(self, plan: LoopPlan, sample_rate_hz: int) -> None:
        self.plan = plan
        self.sample_rate_hz = sample_rate_hz
        self.num_samples = round(plan.num_frames * FRAME_SECONDS * sample_rate_hz)
        self.step_seconds = plan.num_frames * FRAME_SECONDS / plan.steps

    def play(self, voice: Voice, notes: list[Note], level_db: float, colour_db: np.ndarray) -> np.ndarray:
        loop = np.zeros(self.num_samples, dtype=np.float32)
        heard: dict[tuple[int, float], np.ndarray] = {}
        for written in notes:
            key = (written.pitch, written.length)
            if key not in heard:
                seconds = min(written.length * self.step_seconds + 0.05, 3 * voice.decay_seconds)
                frequency_hz = 440 * 2 ** ((written.pitch + 12 * voice.octave - 69) / 12)
                heard[key] = note(voice, frequency_hz, seconds, colour_db, self.sample_rate_hz)
            self._add(loop, heard[key], written.start, written.velocity * _gain(voice.level_db + level_db))
        return loop

    def drums(self, rng: np.random.Generator) -> np.ndarray:
        loop = np.zeros(self.num_samples, dtype=np.float32)
        gain = _gain(self.plan.style.drum_level_db + self.plan.part_levels_db[3])
        for name, pattern in self.plan.style.drums:
            hit = drum(name, rng, self.sample_rate_hz)
            for step, _, velocity in _hits(self.plan, pattern):
                self._add(loop, hit, _swung(self.plan, step), gain * velocity * float(rng.uniform(0.8, 1.0)))
        return loop

    def _add(self, loop: np.ndarray, sound: np.ndarray, start: float, gain: float) -> None:
        first = round(start * self.step_seconds * self.sample_rate_hz) % loop.size
        sound = sound[: loop.size] * np.float32(gain)
        head = min(sound.size, loop.size - first)
        loop[first : first + head] += sound[:head]
        loop[: sound.size - head] += sound[head:]


def _master(mix: np.ndarray, plan: LoopPlan, rng: np.random.Generator, sample_rate_hz: int) -> np.ndarray:
    """Reverb and brightness as one circular filter, then loudness and a soft limit."""
    frequency_hz = np.fft.rfftfreq(mix.size, 1 / sample_rate_hz)
    octaves = np.log2(np.clip(frequency_hz, 60, 14_000) / 1_000).astype(np.float32)
    spectrum = np.fft.rfft(mix) * np.exp(octaves * np.float32(plan.tilt_db * np.log(10) / 20))
    if plan.style.reverb:
        spectrum *= np.fft.rfft(_room(mix.size, plan.style, rng, sample_rate_hz))
    wave = np.fft.irfft(spectrum, mix.size).astype(np.float32)
    loudness = 0.11 * _gain(plan.level_db) / np.sqrt(np.mean(wave**2))
    return np.tanh(wave * np.float32(loudness)) * np.float32(0.95)


def _room(num_samples: int, style: Style, rng: np.random.Generator, sample_rate_hz: int) -> np.ndarray:
    """Impulse response: the sound itself and an exponentially falling noise, `[num_samples]`."""
    length = min(num_samples, round(2.5 * style.reverb_seconds * sample_rate_hz))
    response = np.zeros(num_samples, dtype=np.float32)
    tail = rng.standard_normal(length, dtype=np.float32)
    tail *= np.exp(np.arange(length, dtype=np.float32) * np.float32(-1 / (style.reverb_seconds * sample_rate_hz)))
    response[:length] = tail * np.float32(style.reverb / np.sqrt(np.sum(tail**2)))
    response[0] += np.float32(1 - style.reverb)
    return response


def _gain(level_db: float) -> float:
    return float(10 ** (level_db / 20))
