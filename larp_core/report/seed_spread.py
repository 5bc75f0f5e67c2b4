"""How far the figures of learned recommenders move from seed to seed, beside the interval over playlists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from larp_core.config.paths import DatasetPaths
from larp_core.evaluation.holdouts import load_holdouts
from larp_core.evaluation.metrics import METRICS, evaluate_ranking
from larp_core.evaluation.rankings import load_rankings
from larp_core.report.score_table import METRIC_LETTERS, Row
from larp_core.runtime import markdown


def spread_table(paths: DatasetPaths, rows: Sequence[Row], ks: Sequence[int]) -> str:
    """A pipe table: standard deviation over the seeds (n - 1) of each row's mean over the test playlists.

    Rows with one seed, and encoders whose weights were missing, are left out; empty where none remains.
    """
    holdouts = load_holdouts(paths, "test")
    header = ["row", "recommender", *(f"{METRIC_LETTERS[metric]}@{k}" for metric in METRICS for k in ks)]
    lines = []
    for row in rows:
        lists = load_rankings(paths.rankings(row.file), holdouts).get(row.recommender)
        if lists is not None and len(lists) > 1:
            spread = spread_over_seeds(lists, holdouts.targets, ks)
            lines.append([row.name or row.file, row.recommender, *map(markdown.number, spread)])
    return markdown.table(header, lines) if lines else ""


def spread_over_seeds(lists: np.ndarray, targets: Sequence[np.ndarray], ks: Sequence[int]) -> list[float]:
    """Of ranked lists int32 [seeds, P, K]: one deviation for each metric and K, in the order of `METRICS`."""
    by_seed = [evaluate_ranking(ranked, targets, ks) for ranked in lists]
    means = np.array([np.concatenate([values[metric].mean(axis=0) for metric in METRICS]) for values in by_seed])
    return [float(deviation) for deviation in means.std(axis=0, ddof=1)]
