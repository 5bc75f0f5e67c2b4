"""Tables of the reports: rows out of the score files, how they look in Markdown, and the files that a table becomes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from larp_core.config.paths import DatasetPaths
from larp_core.config.settings import Settings
from larp_core.evaluation.holdouts import load_holdouts
from larp_core.evaluation.metrics import METRICS, evaluate_ranking
from larp_core.evaluation.names import BACKBONES, ITEMKNN, ORACLE, RANDOM, row_name
from larp_core.evaluation.rankings import load_rankings
from larp_core.evaluation.score_files import (
    HYBRID,
    METADATA,
    METRIC_LETTERS,
    NO_RECOMMENDER,
    WITHOUT_RECOMMENDER,
    with_interval,
)
from larp_core.evaluation.vectors import MISSING
from larp_core.report.published import Published
from larp_core.runtime import markdown
from larp_core.runtime.files import write_parquet, write_text
from larp_core.runtime.report import Report

CHANCE_MARK = r"\*"
"""An asterisk that Markdown leaves alone."""


@dataclass(frozen=True)
class Row:
    """Where a row comes from: `scores/<file>.parquet`, its recommender there, the name shown (None: the encoder's)."""

    file: str
    recommender: str = ITEMKNN
    name: str | None = None


def metadata_row(name: str) -> Row:
    return Row(METADATA, name, name)


def hybrid_of(name: str) -> Row:
    return Row(HYBRID, name, name)


def collect(paths: DatasetPaths, rows: Sequence[Row], ks: Sequence[int], published: Published) -> pl.DataFrame:
    """`dataset, row, recommender, metric, k, value, ci_low, ci_high, at_chance, is_learned, missing, paper_value`, in
    the order of `rows`.

    `recommender` is "–" for rows without a model. A backbone without pretrained weights is named untrained, by the
    footer of its score file, and does not count as learned. An encoder whose weights were missing has null values, and
    the reason in `missing`, which is null elsewhere. `paper_value` is that of `published`, null where it has none.
    """
    return pl.concat(_read_row(paths, row, ks, published) for row in rows)


def _read_row(paths: DatasetPaths, row: Row, ks: Sequence[int], published: Published) -> pl.DataFrame:
    path = paths.scores(row.file)
    footer = pl.read_parquet_metadata(path)
    missing = footer.get(MISSING)
    is_pretrained = footer.get("pretrained") == "true" or missing is not None
    is_encoder = row.file not in WITHOUT_RECOMMENDER
    name = row.name or row_name(row.file, pretrained=is_pretrained)
    is_learned = is_encoder and row.file != "mel_statistics" and (is_pretrained or row.file not in BACKBONES)
    scores = pl.read_parquet(path).filter(pl.col("recommender") == row.recommender)
    asked = [(metric, k) for metric in METRIC_LETTERS for k in ks]
    figures = [(*cell, published.get((paths.dataset, row.recommender, row.file, *cell))) for cell in asked]
    schema = {"metric": pl.String, "k": pl.Int32, "paper_value": pl.Float64}
    return (
        pl.DataFrame(figures, schema, orient="row")
        .join(scores, on=["metric", "k"], how="left", maintain_order="left")
        .select(
            pl.lit(paths.dataset).alias("dataset"),
            pl.lit(name).alias("row"),
            pl.lit(row.recommender if is_encoder else NO_RECOMMENDER).alias("recommender"),
            "metric",
            "k",
            "value",
            "ci_low",
            "ci_high",
            "at_chance",
            pl.lit(is_learned).alias("is_learned"),
            pl.lit(missing, pl.String).alias("missing"),
            "paper_value",
        )
    )


def to_markdown(scores: pl.DataFrame) -> str:
    """One dataset's rows as two pipe tables, R@K and N@K.

    The best value of a column among the learned rows is bold; an asterisk marks values that can't be told from chance.
    """
    return "\n".join(_metric_table(scores.filter(pl.col("metric") == metric), metric) for metric in METRIC_LETTERS)


def missing_lines(scores: pl.DataFrame) -> str:
    """One Markdown item for each encoder that could not be run, with the reason; empty where all could be."""
    missing = scores.drop_nulls("missing").select("row", "missing").unique(maintain_order=True)
    return "".join(f"- {row}: {reason}\n" for row, reason in missing.iter_rows())


def spread_table(paths: DatasetPaths, rows: Sequence[Row], ks: Sequence[int]) -> str:
    """A pipe table: standard deviation over the seeds (n - 1) of each row's mean over the test playlists.

    It says how far learned recommenders move from seed to seed, beside the interval over playlists. Rows with one seed,
    and encoders whose weights were missing, are left out; empty where none remains.
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


def write_table(
    settings: Settings, name: str, table: pl.DataFrame, text: str, shown: dict[str, list[dict[str, Any]]]
) -> Report:
    """Writes `reports/<name>.parquet` for programs and `<name>.md` for people; the report counts the table's rows.

    `shown` is title -> rows, as the web UI shows them.
    """
    folder = settings.shared.reports
    write_parquet(table, folder / f"{name}.parquet")
    write_text(text, folder / f"{name}.md")
    return Report(table.height, facts={"datasets": ", ".join(settings.datasets)}, tables=shown)


def _metric_table(scores: pl.DataFrame, metric: str) -> str:
    ks = scores["k"].unique().sort().to_list()
    learned = scores.filter("is_learned").group_by("k").agg(pl.max("value"))
    best = dict(learned.iter_rows())
    has_paper = scores["paper_value"].count() > 0
    headings = [f"{METRIC_LETTERS[metric]}@{k}" for k in ks]
    pairs = [(heading, f"{heading} (paper)") if has_paper else (heading,) for heading in headings]
    header = ["row", "recommender", *itertools.chain.from_iterable(pairs)]
    rows = []
    for (name, recommender), group in scores.partition_by("row", "recommender", as_dict=True).items():
        cells = []
        for line in group.sort("k").iter_rows(named=True):
            cells += [_cell(line, best.get(line["k"])), *([markdown.number(line["paper_value"])] if has_paper else [])]
        rows.append([str(name), str(recommender), *cells])
    return markdown.table(header, rows)


def _cell(line: dict[str, Any], best: float | None) -> str:
    if line["row"] in (RANDOM, ORACLE):
        return markdown.number(line["value"])
    text = with_interval(line)
    if line["is_learned"] and line["value"] is not None and line["value"] == best:
        text = f"**{text}**"
    return text + (CHANCE_MARK if line["at_chance"] else "")
