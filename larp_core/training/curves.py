"""The picture of one stage's training: losses and validation Recall@10 by epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from larp_core.runtime.files import atomic_path


def draw_curves(path: Path, stage: str, record: dict[str, Any]) -> Path:
    """Draws `training.json`'s curve as a PNG at `path`."""
    from matplotlib.figure import Figure

    curve = record["curve"]
    figure = Figure(figsize=(8, 3), dpi=100, layout="constrained")
    losses, recall = figure.subplots(1, 2)
    trained = curve[1:]
    for name in trained[0]["losses"] if trained else ():
        losses.plot([e["epoch"] for e in trained], [e["losses"][name] for e in trained], marker=".", label=name.upper())
    losses.set(title=f"{stage}: training loss", xlabel="epoch")
    losses.legend(frameon=False)
    recall.plot([e["epoch"] for e in curve], [e["valid_recall_at_10"] for e in curve], marker=".", label="validation")
    recall.axhline(record["random_recall_at_10"], linestyle="--", color="grey", label="random")
    recall.axvline(record["best_epoch"], linestyle=":", color="tab:green", label="best epoch")
    recall.set(title="validation Recall@10", xlabel="epoch", ylim=(0, None))
    recall.legend(frameon=False)
    with atomic_path(path) as partial:
        figure.savefig(partial)
    return path
