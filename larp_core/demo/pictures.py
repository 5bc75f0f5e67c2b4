"""Pictures of the demo world for a person to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from larp_core.demo.catalogue import Catalogue
from larp_core.demo.music import GENRES, MOODS, DemoTrack
from larp_core.demo.synth import MP3_SAMPLE_RATE_HZ, synthesise
from larp_core.runtime.files import atomic_path

PICTURE_SECONDS = 8.0
COLUMNS = 5


def draw_spectrograms(catalogue: Catalogue, path: Path) -> Path:
    """One spectrogram a genre, of the genre's first track, as one PNG."""
    from matplotlib.figure import Figure

    first_of = {track.genre: track for track in reversed(catalogue.tracks)}
    figure = Figure(figsize=(18, 7), layout="constrained")
    axes = figure.subplots(-(-len(GENRES) // COLUMNS), COLUMNS, sharex=True, sharey=True)
    for axis, (_, track) in zip(np.ravel(axes), sorted(first_of.items()), strict=False):
        _draw(axis, track)
    figure.supxlabel("seconds")
    figure.supylabel("kHz")
    with atomic_path(path) as partial:
        figure.savefig(partial, dpi=80)
    return path


def _draw(axis: Any, track: DemoTrack) -> None:
    wave = synthesise(track, PICTURE_SECONDS, MP3_SAMPLE_RATE_HZ)
    axis.specgram(wave + 1e-6, NFFT=1024, Fs=MP3_SAMPLE_RATE_HZ / 1000, noverlap=512, vmin=-120, vmax=-20)
    axis.set_xticks(
        np.arange(0, PICTURE_SECONDS * 1000 + 1, 2000), [f"{s:g}" for s in np.arange(0, PICTURE_SECONDS + 1, 2)]
    )
    axis.set_title(f"{GENRES[track.genre]}, {MOODS[track.mood]}: {track.name}", fontsize=9)
