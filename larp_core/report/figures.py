"""The paper's figures, drawn from the files of training; figure 5 is validation Recall@10 by epoch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from larp_core.config.paths import DatasetPaths
from larp_core.config.settings import Settings
from larp_core.config.stages import STAGES
from larp_core.evaluation.names import DISPLAY_NAMES, dataset_title
from larp_core.runtime.files import atomic_path, read_json
from larp_core.runtime.report import Report

matplotlib.use("Agg")

STYLES = {
    "clap_ft": ("#8c8c8c", "o"),
    "co_playlist": ("#cc79a7", "P"),
    "larp_wtc": ("#0072b2", "o"),
    "larp_ttc": ("#d55e00", "s"),
    "larp_ttc_continued": ("#e69f00", "D"),
    "larp_tpc": ("#56b4e9", "v"),
    "larp_tpc_fusion": ("#009e73", "^"),
}
"""Encoder drawn, each after the stage that it starts from: its colour (Okabe and Ito's, told apart by the
colour-blind) and marker."""


@dataclass(frozen=True)
class Curve:
    """One stage's validation Recall@10: `recall[i]` after its i-th epoch, at `start + i` on the shared axis."""

    encoder: str
    start: int
    recall: list[float]
    best_epoch: int
    random_level: float


def build_figure_5(settings: Settings) -> Report:
    """Draws `reports/figure_5.png`, one panel a dataset: the stages on one axis, each from its parent's best epoch.

    Epochs after a stage's best, whose weights nobody goes on with, are pale. The dashed level is chance.
    """
    datasets = settings.datasets
    figure = Figure(figsize=(6.4 * len(datasets), 4.6), dpi=150, layout="constrained")
    panels = figure.subplots(1, len(datasets), squeeze=False)[0]
    tables, num_points = {}, 0
    for panel, dataset in zip(panels, datasets, strict=True):
        curves = read_curves(settings.paths(dataset))
        _draw(panel, curves)
        panel.set_title(dataset_title(settings, dataset), fontsize="medium")
        tables[f"Stages on {dataset}"] = [_summary(curve) for curve in curves]
        num_points += sum(len(curve.recall) for curve in curves)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle("Validation Recall@10 by epoch, each stage from the best epoch of the one before")
    path = settings.shared.reports / "figure_5.png"
    save_figure(figure, path)
    return Report(num_points, tables=tables, pictures={"Validation Recall@10 by epoch": str(path)})


def read_curves(paths: DatasetPaths) -> list[Curve]:
    """The curves of `models/<encoder>/training.json`, placed on one axis: a stage starts where its parent was best."""
    curves: dict[str, Curve] = {}
    for encoder in STYLES:
        parent = STAGES[encoder].parent
        record = read_json(paths.model(encoder) / "training.json")
        points = sorted(record["curve"], key=lambda point: point["epoch"])
        start = curves[parent].start + curves[parent].best_epoch if parent else 0
        recall = [point["valid_recall_at_10"] for point in points]
        level = record["random_recall_at_10"]
        curves[encoder] = Curve(encoder, start, recall, record["best_epoch"], level)
    return list(curves.values())


def _draw(panel: Axes, curves: list[Curve]) -> None:
    for curve in curves:
        colour, marker = STYLES[curve.encoder]
        epochs = [curve.start + i for i in range(len(curve.recall))]
        kept = curve.best_epoch + 1
        style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4, "linewidth": 1.8}
        panel.plot(epochs[kept - 1 :], curve.recall[kept - 1 :], alpha=0.3, **style)
        panel.plot(epochs[:kept], curve.recall[:kept], label=DISPLAY_NAMES[curve.encoder], **style)
        panel.plot(epochs[kept - 1], curve.recall[kept - 1], color=colour, marker="*", markersize=12, zorder=3)
    level = curves[0].random_level
    panel.axhline(level, color="black", linestyle="--", linewidth=1, label="random")
    for start in sorted({curve.start for curve in curves} - {0}):
        panel.axvline(start, color="0.6", linestyle="--", linewidth=1, zorder=0)
    panel.set_xlabel("epoch (★ best of a stage; pale: after it; grey line: next stage starts)")
    panel.set_ylabel("Recall@10, validation playlists")
    panel.set_ylim(bottom=0)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="y", color="0.92")


def _summary(curve: Curve) -> dict[str, Any]:
    return {
        "encoder": DISPLAY_NAMES[curve.encoder],
        "epochs": len(curve.recall) - 1,
        "best epoch": curve.best_epoch,
        "before training": round(curve.recall[0], 4),
        "best Recall@10": round(curve.recall[curve.best_epoch], 4),
        "random": round(curve.random_level, 4),
    }


def save_figure(figure: Figure, path: Path) -> None:
    with atomic_path(path) as partial:
        # Without the name of the library's version, the same curves give the same bytes.
        figure.savefig(partial, metadata={"Software": None})
