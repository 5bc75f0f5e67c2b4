"""How each genre and each mood of the demo world sounds: instruments, patterns and numbers. Data only.

A pattern has sixteen steps, one bar of four beats: `x` is a hit, `o` a softer one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Voice:
    """One instrument: a wavetable of harmonics under an envelope.

    Attributes:
        roll_off: amplitude of harmonic h is `h ** -roll_off`.
        even: gain of the even harmonics; 0 gives a hollow, clarinet-like or square tone.
        attack_seconds, decay_seconds: of the envelope; after the attack it falls exponentially.
        level_db: in the mix.
        octave: added to the part's register.
        detune_cents: of a second, doubled oscillator; 0 for none.
        bite: how much brighter the first 60 ms are, as with a plucked string.
    """

    roll_off: float
    even: float
    attack_seconds: float
    decay_seconds: float
    level_db: float
    octave: int = 0
    detune_cents: float = 0.0
    bite: float = 0.0


@dataclass(frozen=True)
class Style:
    """One genre.

    Attributes:
        tempo_bpm: in a neutral mood.
        chords, bass, lead: instruments; their patterns say when they play.
        arpeggio: chords are played note by note.
        chord_kind: `triad`, `seventh`, or `power` (no third).
        lead_density: chance that a step of the lead's rhythm is played.
        drums: pattern by drum name (`larp_core.demo.instruments.drum`).
        drum_level_db: in the mix.
        swing: delay of the off-beats, in steps.
        drive: distortion of chords and lead, 0 for none.
        reverb: wet share; `reverb_seconds` is its decay.
        hiss_db: steady noise below full scale.
    """

    tempo_bpm: float
    chords: Voice
    chord_pattern: str
    bass: Voice
    bass_pattern: str
    lead: Voice
    lead_density: float
    drums: tuple[tuple[str, str], ...] = ()
    drum_level_db: float = -6.0
    arpeggio: bool = False
    chord_kind: str = "triad"
    swing: float = 0.0
    drive: float = 0.0
    reverb: float = 0.1
    reverb_seconds: float = 0.5
    hiss_db: float = -70.0


@dataclass(frozen=True)
class MoodSound:
    """One mood: `tilt_db` is brightness in dB an octave, `level_db` loudness, `drums_db` and `density` liveliness,
    `decay_factor` how long notes ring."""

    minor: bool
    tempo_factor: float
    tilt_db: float
    level_db: float
    drums_db: float
    density: float
    decay_factor: float


STYLES: dict[str, Style] = {
    "ambient": Style(
        72, Voice(1.6, 0.8, 0.9, 4.0, -6, detune_cents=9), "x...............",
        Voice(2.6, 0.4, 0.4, 3.0, -9), "x...............", Voice(2.0, 0.5, 0.15, 1.6, -14, 1), 0.25,
        reverb=0.55, reverb_seconds=2.2, hiss_db=-52,
    ),
    "chamber": Style(
        92, Voice(1.15, 1.0, 0.09, 1.4, -8, detune_cents=6), "x.......x.......",
        Voice(1.3, 1.0, 0.07, 1.2, -9, detune_cents=4), "x.......x...x...",
        Voice(1.05, 0.9, 0.06, 0.9, -7, 1, detune_cents=7), 0.75, reverb=0.3, reverb_seconds=1.2,
    ),
    "folk": Style(
        104, Voice(1.5, 0.9, 0.003, 0.55, -6, bite=1.0), "x.x.x.x.x.x.x.x.",
        Voice(1.9, 0.8, 0.004, 0.7, -10, bite=0.5), "x.......x.......",
        Voice(1.7, 0.6, 0.02, 0.5, -9, 1, bite=0.4), 0.5, (("shaker", "o.x.o.x.o.x.o.x."),), -14,
        arpeggio=True, reverb=0.12,
    ),
    "jazz": Style(
        122, Voice(2.3, 0.25, 0.004, 0.7, -8, bite=0.3), "..x...x....x..x.",
        Voice(2.0, 0.7, 0.008, 0.35, -5), "x...x...x...x...", Voice(1.3, 0.35, 0.03, 0.4, -8, 1), 0.7,
        (("ride", "x...x.x.x...x.x."), ("snare", "......o......o..")), -13,
        chord_kind="seventh", swing=0.66, reverb=0.15,
    ),
    "rock": Style(
        124, Voice(0.9, 0.9, 0.004, 0.9, -6, detune_cents=7, bite=0.4), "x.xxx.x.x.xxx.x.",
        Voice(1.2, 0.9, 0.004, 0.5, -6), "x.x.x.x.x.x.x.x.", Voice(0.9, 0.8, 0.01, 0.6, -10, 1), 0.45,
        (("kick", "x.....x.x......."), ("snare", "....x.......x..."), ("hat", "x.x.x.x.x.x.x.x.")), -4,
        chord_kind="power", drive=2.5, reverb=0.1,
    ),
    "metal": Style(
        152, Voice(0.6, 1.0, 0.002, 0.25, -4, -1, detune_cents=11, bite=0.6), "x.xxx.xxx.xxx.xx",
        Voice(0.9, 1.0, 0.003, 0.3, -6), "x.xxx.xxx.xxx.xx", Voice(0.6, 0.9, 0.01, 0.5, -9, 1), 0.55,
        (("kick", "xxx.xxx.xxx.xxx."), ("snare", "....x.......x..."), ("crash", "x...............")), -3,
        chord_kind="power", drive=9.0, reverb=0.06,
    ),
    "techno": Style(
        128, Voice(0.8, 1.0, 0.004, 0.18, -10, detune_cents=12), "..x..x..x..x..x.",
        Voice(0.9, 1.0, 0.003, 0.16, -6), "..x...x...x...x.", Voice(0.7, 0.3, 0.003, 0.14, -12, 1), 0.6,
        (("kick", "x...x...x...x..."), ("hat", "..x...x...x...x."), ("clap", "....x.......x...")), -2,
        drive=0.8, reverb=0.18, reverb_seconds=0.9,
    ),
    "hiphop": Style(
        86, Voice(1.8, 0.6, 0.01, 0.8, -11), "x.....x.........",
        Voice(3.2, 0.3, 0.005, 0.9, 0, -1), "x.....x...x.....", Voice(2.0, 0.2, 0.01, 0.35, -12, 1), 0.3,
        (("kick", "x......x..x....."), ("clap", "....x.......x..."), ("hat", "x.x.x.xxx.x.x.xx")), -2,
        chord_kind="seventh", swing=0.3, hiss_db=-46,
    ),
    "reggae": Style(
        78, Voice(1.1, 0.2, 0.004, 0.09, -5, 1), "..x...x...x...x.",
        Voice(2.6, 0.6, 0.01, 0.6, -1), "x..x..x.x.....x.", Voice(1.6, 0.3, 0.02, 0.3, -12, 1), 0.3,
        (("kick", "........x......."), ("rim", "........x......."), ("hat", "x.x.x.x.x.x.x.x.")), -9,
        swing=0.35, reverb=0.25, reverb_seconds=1.0,
    ),
    "chiptune": Style(
        142, Voice(1.0, 0.0, 0.001, 0.12, -8, 1), "xxxxxxxxxxxxxxxx",
        Voice(0.95, 0.0, 0.001, 0.25, -8), "x.x.x.x.x.x.x.x.", Voice(0.85, 0.0, 0.001, 0.3, -7, 1), 0.85,
        (("zap", "x...x...x...x..."), ("hat", "..x...x...x...x.")), -12, arpeggio=True, reverb=0.0,
    ),
}  # fmt: skip

MOOD_SOUNDS: dict[str, MoodSound] = {
    "sunny": MoodSound(
        minor=False, tempo_factor=1.12, tilt_db=1.5, level_db=0.0, drums_db=0.0, density=1.2, decay_factor=0.9
    ),
    "tender": MoodSound(
        minor=False, tempo_factor=0.80, tilt_db=-1.2, level_db=-8.0, drums_db=-11.0, density=0.6, decay_factor=1.5
    ),
    "fierce": MoodSound(
        minor=True, tempo_factor=1.22, tilt_db=4.0, level_db=4.0, drums_db=4.0, density=1.5, decay_factor=0.6
    ),
    "gloomy": MoodSound(
        minor=True, tempo_factor=0.82, tilt_db=-4.5, level_db=-2.0, drums_db=-5.0, density=0.6, decay_factor=1.6
    ),
}
