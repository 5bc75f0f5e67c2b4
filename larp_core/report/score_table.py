"""One table of scores out of the score files of every encoder: which rows, in which order, and as Markdown."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from larp_core.config.paths import DatasetPaths
from larp_core.evaluation.names import BACKBONES, ITEMKNN, ORACLE, RANDOM, row_name
from larp_core.report.published import Published
from larp_core.runtime import markdown

METRIC_LETTERS = {"recall": "R", "ndcg": "N"}
METADATA = "metadata"
HYBRID = "hybrid"
WITHOUT_RECOMMENDER = (METADATA, HYBRID)
"""Files of rows that are no encoder under a recommender: their column `recommender` holds the rows' own names."""
MISSING = "missing"
"""Footer key of embeddings and scores: why an encoder has none."""
NO_RECOMMENDER = "–"
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


def report_rows(scores: pl.DataFrame, *names: str) -> list[dict[str, str]]:
    """The web UI's form: one row a name, one column a metric and K, with intervals and `to_markdown`'s asterisk.

    `names` are the columns that together name a row.
    """
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for line in scores.iter_rows(named=True):
        key = {name: line[name] for name in names}
        row = rows.setdefault(tuple(key.values()), key)
        is_marked = line["at_chance"] and line[names[0]] != RANDOM
        row[f"{METRIC_LETTERS[line['metric']]}@{line['k']}"] = _with_interval(line) + ("*" if is_marked else "")
    return list(rows.values())


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
    text = _with_interval(line)
    if line["is_learned"] and line["value"] is not None and line["value"] == best:
        text = f"**{text}**"
    return text + (CHANCE_MARK if line["at_chance"] else "")


def _with_interval(line: dict[str, Any]) -> str:
    if line["value"] is None:
        return markdown.number(None)
    return markdown.with_interval(line["value"], line["ci_low"], line["ci_high"])
