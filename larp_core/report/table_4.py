"""The paper's table 4: a model trained on one dataset, run on the other, beside rows that were trained there."""

from __future__ import annotations

from typing import Any

import polars as pl

from larp_core.config.datasets import DATASETS
from larp_core.config.encoders import TRANSFER_ENCODER, TRANSFER_FROM, TRANSFER_TO, has_transfer
from larp_core.config.paths import DatasetPaths
from larp_core.config.settings import Settings
from larp_core.evaluation.holdouts import load_holdouts
from larp_core.evaluation.metadata_rows import random_frame
from larp_core.evaluation.names import (
    CAPTION_TFIDF,
    DISPLAY_NAMES,
    ITEMKNN,
    ORACLE,
    RANDOM,
    dataset_title,
)
from larp_core.evaluation.recommenders.itemknn import evaluate_itemknn
from larp_core.evaluation.score_files import report_rows, summarise
from larp_core.evaluation.vectors import load_vectors
from larp_core.report.published import PAPER_TABLE_4
from larp_core.report.score_table import Row, collect, metadata_row, missing_lines, to_markdown
from larp_core.runtime import markdown
from larp_core.runtime.files import write_parquet, write_text
from larp_core.runtime.report import Report

ROWS = (
    metadata_row(RANDOM),
    metadata_row(CAPTION_TFIDF),
    Row("mule"),
    Row("clap_ft"),
    Row(TRANSFER_ENCODER),
    metadata_row(ORACLE),
)
PAPER_COLUMNS = ("R@10", "N@10", "R@20", "N@20", "R@40", "N@40")
TITLE = "# Table 4: trained on one dataset, run on the other\n"


def build_table_4(settings: Settings) -> Report:
    """Writes `reports/table_4.{parquet,md}`; where one of the two datasets is not configured they say so."""
    folder = settings.shared.reports
    if not has_transfer(settings):
        trained, run = DATASETS[TRANSFER_FROM].title, DATASETS[TRANSFER_TO].title
        why = f"Not run: it needs {trained} to train on and {run} to run on."
        write_parquet(pl.DataFrame({"not_run": [why]}), folder / "table_4.parquet")
        write_text(f"{TITLE}\n{why}\n", folder / "table_4.md")
        return Report(0, facts={"not run": why})
    scores = collect(settings.paths(TRANSFER_TO), ROWS, settings.recipe.evaluation.ks, {})
    table = pl.concat([scores[: -_cells(scores)], _transferred(settings, scores), scores[-_cells(scores) :]])
    title = dataset_title(settings, TRANSFER_TO)
    missing = f"Rows that could not be run:\n\n{lines}\n" if (lines := missing_lines(table)) else ""
    text = "\n".join(
        [
            TITLE,
            f"All rows on {title}, by {ITEMKNN}; seeds, candidates and intervals as in table 2. The row trained on "
            f"{TRANSFER_FROM} has seen none of {TRANSFER_TO}'s playlists or captions: weights and vocabulary are "
            f"those of {dataset_title(settings, TRANSFER_FROM)}. {_overlap(settings)}\n",
            to_markdown(table),
            missing + _papers(settings),
        ]
    )
    write_parquet(table.drop("is_learned"), folder / "table_4.parquet")
    write_text(text, folder / "table_4.md")
    return Report(table.height, facts={"dataset": title}, tables={title: report_rows(table, "row")})


def _cells(scores: pl.DataFrame) -> int:
    """Lines of one row."""
    return scores.select("metric", "k").n_unique()


def _transferred(settings: Settings, scores: pl.DataFrame) -> pl.DataFrame:
    """The row that was trained elsewhere, in the columns of `scores`."""
    paths, evaluation = settings.paths(TRANSFER_TO), settings.recipe.evaluation
    holdouts = load_holdouts(paths, "test")
    vectors = load_vectors(paths.transferred_embeddings(TRANSFER_ENCODER, TRANSFER_FROM))
    frame = evaluate_itemknn(holdouts, *vectors, evaluation.ks)
    summary = summarise(frame, random_frame(holdouts, evaluation.ks), evaluation)
    name = f"{DISPLAY_NAMES[TRANSFER_ENCODER]} (trained on {TRANSFER_FROM})"
    facts = {"dataset": TRANSFER_TO, "row": name, "recommender": ITEMKNN, "is_learned": True}
    filled = summary.with_columns(
        *(pl.lit(v).alias(k) for k, v in facts.items()),
        pl.lit(None, pl.String).alias("missing"),
        pl.lit(None, pl.Float64).alias("paper_value"),
    )
    return filled.select(scores.columns).cast(dict(scores.schema))  # type: ignore[arg-type]


def _overlap(settings: Settings) -> str:
    """How many test tracks the model has been trained on all the same: datasets share songs."""
    source, target = settings.paths(TRANSFER_FROM), settings.paths(TRANSFER_TO)
    trained, tested = _uris(source, "train"), _uris(target, "test")
    return (
        f"Of its {len(tested):,} test tracks {len(tested & trained):,} are train tracks of {TRANSFER_FROM} (by uri), "
        "and so not cold to that row."
    )


def _uris(paths: DatasetPaths, split: str) -> set[str]:
    own = pl.read_parquet(paths.split_tracks).filter(pl.col("split") == split)
    return set(pl.read_parquet(paths.tracks, columns=["track_id", "track_uri"]).join(own, on="track_id")["track_uri"])


def _papers(settings: Settings) -> str:
    if settings.is_demo:
        return "The paper's own figures are on the real LFM-2b, and so do not stand here.\n"
    rows: list[list[Any]] = [[name, *(f"{value:.4f}" for value in figures)] for name, figures in PAPER_TABLE_4.items()]
    return (
        "The paper's table 4, theirs on their split of LFM-2b (the last row's NDCG does not fit its recall, and may be "
        "a slip of theirs):\n\n" + markdown.table(["row (paper)", *PAPER_COLUMNS], rows)
    )
