"""The paper's figure 3: the tracks of one test playlist against the cloud of all, on the two main axes of each encoder.

The playlist is drawn by a hash, never chosen by how well it clusters; a figure on all playlists stands in every title.
"""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from larp_core.config.encoders import FIGURE_3_ENCODERS
from larp_core.config.paths import DatasetPaths
from larp_core.config.settings import Settings
from larp_core.evaluation.holdouts import Holdouts, load_holdouts
from larp_core.evaluation.names import dataset_title, row_name
from larp_core.evaluation.ranking import rows_of
from larp_core.evaluation.vectors import MISSING, load_vectors
from larp_core.report.figures import save_figure
from larp_core.runtime.files import write_parquet
from larp_core.runtime.hashing import hash_ids
from larp_core.runtime.report import Report

matplotlib.use("Agg")

CLOUD, MEMBER = "#c8c8c8", "#d55e00"
MAX_CLOUD = 20_000
"""Points drawn; of more, the first by hash."""


def build_figure_3(settings: Settings) -> Report:
    """Draws `reports/figure_3.png`, a row of panels a dataset, and writes what is drawn, `figure_3.parquet`."""
    datasets = settings.datasets
    figure = Figure(figsize=(2.7 * len(FIGURE_3_ENCODERS), 3.3 * len(datasets)), dpi=110, layout="constrained")
    panels = figure.subplots(len(datasets), len(FIGURE_3_ENCODERS), squeeze=False)
    frames, tables = [], {}
    for row, dataset in zip(panels, datasets, strict=True):
        paths = settings.paths(dataset)
        holdouts = load_holdouts(paths, "test")
        drawn = draw_playlist(holdouts, settings.recipe.evaluation.seed)
        members = np.concatenate([holdouts.seeds[drawn], holdouts.targets[drawn]])
        rows = []
        for panel, encoder in zip(row, FIGURE_3_ENCODERS, strict=True):
            points = _panel(panel, paths, encoder, holdouts, members)
            frames.append(points.select(pl.lit(dataset).alias("dataset"), pl.lit(encoder).alias("encoder"), pl.all()))
            rows.append(_summary(paths, encoder, holdouts, drawn))
            panel.set_title(f"{_name(paths, encoder)}\n{_margin(rows[-1])}", fontsize="small")
        title = f"{dataset_title(settings, dataset)}\nplaylist {holdouts.playlist_ids[drawn]}, {len(members)} tracks"
        row[0].set_ylabel(title, fontsize="small")
        tables[f"Playlists in the space of each encoder, {dataset}"] = rows
    figure.suptitle(
        "One test playlist (colour; drawn by hash) against all test tracks (grey), two-dimensional PCA.\n"
        "Margin: mean cosine of two tracks of a playlist minus that of any two test tracks; of this playlist, of all",
        fontsize="medium",
    )
    folder = settings.shared.reports
    save_figure(figure, folder / "figure_3.png")
    write_parquet(pl.concat(frames), folder / "figure_3.parquet")
    pictures = {"A test playlist in the space of each encoder": str(folder / "figure_3.png")}
    return Report(sum(frame.height for frame in frames), tables=tables, pictures=pictures)


def draw_playlist(holdouts: Holdouts, seed: int) -> int:
    """The index of the playlist whose hash comes first."""
    hashes = hash_ids(map(str, holdouts.playlist_ids.tolist()), seed, "playlist of figure 3")
    return int(np.argmin(hashes))


def main_axes(vectors: np.ndarray) -> np.ndarray:
    """Coordinates [N, 2] of unit vectors on their two principal axes, by the singular value decomposition; each axis
    points where its largest loading is positive, so that the picture repeats."""
    centred = vectors - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = np.pad(axes, ((0, max(0, 2 - len(axes))), (0, 0)))[:2]
    signs = np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])
    return centred @ (axes * np.where(signs == 0, 1, signs)[:, None]).T


def pair_cosine(unit: np.ndarray) -> float:
    """Mean cosine over all pairs of n unit vectors: (|sum u|^2 - n) / (n (n - 1)); NaN for fewer than two."""
    n, total = len(unit), unit.sum(axis=0)
    return float((total @ total - n) / (n * (n - 1))) if n >= 2 else float("nan")


def _panel(panel: Axes, paths: DatasetPaths, encoder: str, holdouts: Holdouts, members: np.ndarray) -> pl.DataFrame:
    """Draws one panel; returns `track_id, x, y, is_member` of every test track with a vector."""
    panel.set_xticks([])
    panel.set_yticks([])
    track_ids, unit = _unit_vectors(paths, encoder, holdouts.in_hash_order)
    schema = {"track_id": pl.Int32, "x": pl.Float64, "y": pl.Float64, "is_member": pl.Boolean}
    if len(track_ids) < 2:
        panel.text(0.5, 0.5, "no vectors", ha="center", va="center", transform=panel.transAxes, color="0.4")
        return pl.DataFrame(schema=schema)
    points, is_member = main_axes(unit), np.isin(track_ids, members)
    cloud = np.flatnonzero(~is_member)[:MAX_CLOUD]
    panel.scatter(points[cloud, 0], points[cloud, 1], s=3, color=CLOUD, linewidths=0)
    panel.scatter(points[is_member, 0], points[is_member, 1], s=14, color=MEMBER, linewidths=0.3, edgecolors="white")
    columns = [track_ids, points[:, 0], points[:, 1], is_member]
    return pl.DataFrame(dict(zip(schema, columns, strict=True)), schema=schema)


def _unit_vectors(paths: DatasetPaths, encoder: str, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The wanted tracks that have a vector with a direction, in their order, and these [N, D] at length one."""
    track_ids, vectors = load_vectors(paths.embeddings(encoder))
    rows = rows_of(track_ids, wanted)
    chosen, taken = wanted[rows >= 0], vectors[rows[rows >= 0]].astype(np.float64)
    sizes = np.linalg.norm(taken, axis=1)
    return chosen[sizes > 0], taken[sizes > 0] / sizes[sizes > 0, None]


def _summary(paths: DatasetPaths, encoder: str, holdouts: Holdouts, drawn: int) -> dict[str, Any]:
    """Mean cosines: of two test tracks, of two of the drawn playlist's, of two of one playlist's over all playlists."""
    track_ids, unit = _unit_vectors(paths, encoder, holdouts.candidates)
    cosines = []
    for seeds, targets in zip(holdouts.seeds, holdouts.targets, strict=True):
        rows = rows_of(track_ids, np.concatenate([seeds, targets]))
        cosines.append(pair_cosine(unit[rows[rows >= 0]]))
    known = [value for value in cosines if not np.isnan(value)]
    return {
        "encoder": _name(paths, encoder),
        "any two tracks": pair_cosine(unit),
        "two of the drawn playlist": cosines[drawn],
        "two of one playlist, all playlists": float(np.mean(known)) if known else float("nan"),
    }


def _margin(row: dict[str, Any]) -> str:
    both = (row["two of the drawn playlist"], row["two of one playlist, all playlists"])
    return "margin " + ", ".join("–" if np.isnan(value) else f"{value - row['any two tracks']:+.3f}" for value in both)


def _name(paths: DatasetPaths, encoder: str) -> str:
    footer = pl.read_parquet_metadata(paths.embeddings(encoder))
    return row_name(encoder, pretrained=footer.get("pretrained") == "true" or MISSING in footer)
