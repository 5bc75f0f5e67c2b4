"""Pictures of audio for the web UI: grids of spectrograms, histograms."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from larp_core.runtime.files import atomic_path

WINDOW_SAMPLES = 1_024
FLOOR_DB = -100.0
NUM_COLUMNS = 3


def spectrogram_db(samples: np.ndarray) -> np.ndarray:
    """Power in dB [513 frequencies, time] of mono samples: Hann windows of 1,024 samples, side by side."""
    frames = samples[: len(samples) // WINDOW_SAMPLES * WINDOW_SAMPLES].reshape(-1, WINDOW_SAMPLES)
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW_SAMPLES), axis=1)) ** 2
    return np.maximum(10 * np.log10(power / WINDOW_SAMPLES + 1e-20), FLOOR_DB).T


def save_spectrograms(
    spectrograms: dict[str, np.ndarray], path: Path, y_label: str, extent: tuple[float, float, float, float]
) -> Path:
    """Writes a PNG with one panel a title; each array is [height, time] in dB, `extent` the range of both axes."""
    from matplotlib.figure import Figure

    num_rows = -(-len(spectrograms) // NUM_COLUMNS)
    figure = Figure(figsize=(12, 2.6 * num_rows), layout="constrained")
    panels = figure.subplots(num_rows, NUM_COLUMNS, squeeze=False, sharex=True, sharey=True)
    for panel in panels.flat[len(spectrograms) :]:
        panel.set_axis_off()
    for panel, (title, values) in zip(panels.flat, spectrograms.items(), strict=False):
        image = panel.imshow(values, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=FLOOR_DB, vmax=20)
        panel.set_title(title, fontsize=9)
    figure.supxlabel("seconds of the clip", fontsize=9)
    figure.supylabel(y_label, fontsize=9)
    figure.colorbar(image, ax=panels, label="dB", shrink=0.8)
    with atomic_path(path) as partial:
        figure.savefig(partial, dpi=90, metadata={"Software": None})
    return path


def save_histogram(values: np.ndarray, path: Path, x_label: str, y_label: str) -> Path:
    """Writes a PNG of how `values` [n] are spread, the rarest hundredth at the upper end put into the last bar."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.hist(np.minimum(values, np.quantile(values, 0.99)), bins=40, color="#4c72b0")
    axes.set_xlabel(x_label, fontsize=9)
    axes.set_ylabel(y_label, fontsize=9)
    with atomic_path(path) as partial:
        figure.savefig(partial, dpi=90, metadata={"Software": None})
    return path
