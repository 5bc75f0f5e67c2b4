"""The report of paired differences: LARP's rows, and hybrids with them, minus every other one on the same playlists,
with intervals."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import polars as pl

from larp_core.config import EvaluationConfig
from larp_core.config.encoders import SCORE_FILES
from larp_core.config.paths import DatasetPaths
from larp_core.config.settings import Settings
from larp_core.evaluation.bootstrap import bootstrap_intervals
from larp_core.evaluation.names import (
    DISPLAY_NAMES,
    HYBRID_ENCODERS,
    ITEMKNN,
    ORACLE,
    RANDOM,
    dataset_title,
    hybrid_row,
    row_name,
)
from larp_core.evaluation.score_files import METRIC_LETTERS, NO_RECOMMENDER, WITHOUT_RECOMMENDER
from larp_core.report.score_table import write_table
from larp_core.runtime import markdown
from larp_core.runtime.report import Report

OURS = ("larp_wtc", "larp_ttc", "larp_tpc", "larp_tpc_fusion")
OUR_HYBRIDS = tuple(hybrid_row(encoder) for encoder in HYBRID_ENCODERS)
SCHEMA = {
    "dataset": pl.String,
    "row": pl.String,
    "minus": pl.String,
    "recommender": pl.String,
    "metric": pl.String,
    "k": pl.Int32,
    "difference": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "num_playlists": pl.Int32,
}
LEGEND = """Mean over the test playlists of the first row's value minus the second's on the same playlist, and the
bootstrap interval of that mean. **Bold**: the interval does not hold zero. Each interval is for its own comparison: of
twenty true nulls one is bold by chance. Encoders are compared under the same recommender; rows without a model have
none. Random and oracle are exact figures, and compared all the same.
"""


class RowValues(NamedTuple):
    """One row's values on every test playlist: its name and recommender as shown, float64 [P, cells]."""

    row: str
    recommender: str
    is_ours: bool
    values: np.ndarray


def build_differences(settings: Settings) -> Report:
    """Writes `reports/differences.{parquet,md}` from the scores' per-playlist values."""
    sections, frames, shown = ["# Paired differences\n"], [], {}
    for dataset in settings.datasets:
        frame = difference_frame(settings.paths(dataset), settings.recipe.evaluation)
        frames.append(frame)
        cells = _cells(frame)
        title = dataset_title(settings, dataset)
        shown[title] = cells
        header = list(cells[0]) if cells else ["row"]
        sections += [f"## {title}\n", markdown.table(header, [list(line.values()) for line in cells])]
    return write_table(settings, "differences", pl.concat(frames), "\n".join([*sections, LEGEND]), shown)


def difference_frame(paths: DatasetPaths, evaluation: EvaluationConfig) -> pl.DataFrame:
    """One dataset's differences, in the columns of `SCHEMA`: every row of ours minus each row that is not, under the
    same recommender, and minus each row without one."""
    cells = [(metric, k) for metric in METRIC_LETTERS for k in evaluation.ks]
    rows = _all_values(paths, cells)
    lines = []
    for ours in rows:
        for other in rows:
            if not ours.is_ours or other.is_ours or other.recommender not in (ours.recommender, NO_RECOMMENDER):
                continue
            intervals = bootstrap_intervals(
                ours.values - other.values,
                samples=evaluation.bootstrap_samples,
                confidence=evaluation.confidence,
                seed=evaluation.seed,
            )
            lines += [
                (paths.dataset, ours.row, other.row, ours.recommender, *cell, *interval, len(ours.values))
                for cell, interval in zip(cells, intervals, strict=True)
            ]
    return pl.DataFrame(lines, schema=SCHEMA, orient="row")


def _all_values(paths: DatasetPaths, cells: list[tuple[str, int]]) -> list[RowValues]:
    rows = []
    for file in SCORE_FILES:
        path = paths.scores(f"{file}_playlists")
        pretrained = pl.read_parquet_metadata(paths.scores(file)).get("pretrained") == "true"
        frames = pl.read_parquet(path).partition_by("recommender", as_dict=True, maintain_order=True)
        for (recommender,), frame in frames.items():
            if str(recommender).startswith(f"{ITEMKNN} ("):
                continue
            columns = {cell: part for cell, part in frame.partition_by("metric", "k", as_dict=True).items()}
            values = np.stack([columns[cell].sort("playlist_id")["value"].to_numpy() for cell in cells], axis=1)
            if file in WITHOUT_RECOMMENDER:
                rows.append(RowValues(str(recommender), NO_RECOMMENDER, recommender in OUR_HYBRIDS, values))
            else:
                rows.append(RowValues(row_name(file, pretrained=pretrained), str(recommender), file in OURS, values))
    return rows


def _cells(frame: pl.DataFrame) -> list[dict[str, str]]:
    rows = []
    keys = ["row", "minus", "recommender"]
    for (row, minus, recommender), part in frame.partition_by(keys, as_dict=True, maintain_order=True).items():
        if row != DISPLAY_NAMES[OURS[-1]] and minus in (RANDOM, ORACLE):
            continue
        cells = {f"{METRIC_LETTERS[line['metric']]}@{line['k']}": _cell(line) for line in part.iter_rows(named=True)}
        rows.append({"row": str(row), "minus": str(minus), "recommender": str(recommender), **cells})
    return rows


def _cell(line: dict[str, Any]) -> str:
    text = f"{line['difference']:+.4f} [{line['ci_low']:+.4f}, {line['ci_high']:+.4f}]"
    return f"**{text}**" if line["ci_low"] > 0 or line["ci_high"] < 0 else text
