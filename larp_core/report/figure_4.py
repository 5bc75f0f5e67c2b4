"""The paper's figure 4: Recall@10 against the number of tracks that stand for a playlist while stage 3 is trained."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from larp_core.config import EvaluationConfig
from larp_core.config.encoders import NEIGHBOUR_COUNTS, SENSITIVE_ENCODER
from larp_core.config.paths import DatasetPaths
from larp_core.config.settings import Settings
from larp_core.evaluation.bootstrap import bootstrap_intervals
from larp_core.evaluation.names import DISPLAY_NAMES, dataset_title
from larp_core.report.figures import save_figure
from larp_core.runtime.files import write_parquet
from larp_core.runtime.report import Report

matplotlib.use("Agg")

LINES = {"valid": ("validation", "#0072b2", "o"), "test": ("test", "#d55e00", "s")}
"""Split: its name, colour (Okabe and Ito's) and marker."""
SCHEMA = {
    "dataset": pl.String,
    "num_neighbours": pl.Int32,
    "split": pl.String,
    "value": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "num_playlists": pl.Int32,
}


def build_figure_4(settings: Settings) -> Report:
    """Draws `reports/figure_4.png`, one panel a dataset, and writes its points, `figure_4.parquet`; K is the smallest.

    Validation and test stand side by side, with intervals; the recipe's own number has a star, whatever is best.
    """
    datasets, k = settings.datasets, min(settings.recipe.evaluation.ks)
    lines = [line for name in datasets for line in _lines(settings.paths(name), settings.recipe.evaluation, k)]
    table = pl.DataFrame(lines, SCHEMA, orient="row")
    figure = Figure(figsize=(5.2 * len(datasets), 4.2), dpi=140, layout="constrained")
    panels = figure.subplots(1, len(datasets), squeeze=False)[0]
    for panel, dataset in zip(panels, datasets, strict=True):
        _draw(panel, table.filter(dataset=dataset), settings.recipe.training.num_neighbours)
        panel.set_title(dataset_title(settings, dataset), fontsize="medium")
    panels[0].set_ylabel(f"Recall@{k}, mean and bootstrap interval")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(f"{DISPLAY_NAMES[SENSITIVE_ENCODER]} trained with J tracks for a playlist; one training a point")
    folder = settings.shared.reports
    save_figure(figure, folder / "figure_4.png")
    write_parquet(table, folder / "figure_4.parquet")
    shown = {dataset_title(settings, dataset): _rows(table.filter(dataset=dataset)) for dataset in datasets}
    picture = {f"Recall@{k} by the number of tracks for a playlist": str(folder / "figure_4.png")}
    return Report(table.height, tables=shown, pictures=picture)


def _lines(paths: DatasetPaths, config: EvaluationConfig, k: int) -> list[tuple[Any, ...]]:
    lines: list[tuple[Any, ...]] = []
    for count in NEIGHBOUR_COUNTS:
        scores = pl.read_parquet(paths.sensitivity(f"j_{count}")).filter(metric="recall", k=k)
        for split in LINES:
            values = scores.filter(split=split).sort("playlist_id")["value"].to_numpy()
            (interval,) = bootstrap_intervals(
                values[:, None],
                samples=config.bootstrap_samples,
                confidence=config.confidence,
                seed=config.seed,
            )
            lines.append((paths.dataset, count, split, *interval, len(values)))
    return lines


def _draw(panel: Axes, points: pl.DataFrame, own_count: int) -> None:
    places = {count: place for place, count in enumerate(NEIGHBOUR_COUNTS)}
    for shift, (split, (name, colour, marker)) in zip((-0.04, 0.04), LINES.items(), strict=True):
        line = points.filter(split=split).sort("num_neighbours")
        x = np.array([places[count] for count in line["num_neighbours"]]) + shift
        y = line["value"].to_numpy()
        errors = np.stack([y - line["ci_low"].to_numpy(), line["ci_high"].to_numpy() - y])
        panel.errorbar(
            x, y, yerr=errors, color=colour, marker=marker, markersize=5, capsize=3, linewidth=1.4, label=name
        )
        if own_count in places:
            at = line["num_neighbours"].to_list().index(own_count)
            label = "the recipe's own J" if split == "test" else None
            panel.plot(x[at], y[at], marker="*", markersize=15, color=colour, zorder=3, linestyle="none", label=label)
    panel.set_xticks(range(len(NEIGHBOUR_COUNTS)), [str(count) for count in NEIGHBOUR_COUNTS])
    panel.set_xlabel("J, tracks that stand for a playlist in training")
    panel.set_ylim(bottom=0)
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="y", color="0.92")


def _rows(points: pl.DataFrame) -> list[dict[str, Any]]:
    rows: dict[int, dict[str, Any]] = {}
    for line in points.iter_rows(named=True):
        row = rows.setdefault(line["num_neighbours"], {"J": line["num_neighbours"]})
        row[LINES[line["split"]][0]] = f"{line['value']:.4f} [{line['ci_low']:.4f}, {line['ci_high']:.4f}]"
    return list(rows.values())
