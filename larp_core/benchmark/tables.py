"""The paper's tables 1 to 3 from this graph's own files, each as Parquet and as Markdown below `reports/`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from larp_core.benchmark import markdown
from larp_core.benchmark.holdouts import load_holdouts
from larp_core.benchmark.names import (
    ARTIST_AND_ALBUM,
    ARTIST_CO_OCCURRENCE,
    CAPTION_TFIDF,
    ORACLE,
    RANDOM,
    SAME_ARTIST,
    dataset_title,
)
from larp_core.benchmark.score_table import (
    CHANCE_MARK,
    Row,
    collect,
    metadata_row,
    missing_lines,
    report_rows,
    to_markdown,
)
from larp_core.benchmark.split_statistics import split_statistics
from larp_core.files import write_parquet, write_text
from larp_core.steps import Job, Report

PAPER_TABLE_1: dict[tuple[str, str], dict[str, float]] = {
    ("mpd", "train"): {"num_tracks": 98_552},
    ("mpd", "test"): {
        "num_tracks": 6_978,
        "num_playlists": 100,
        "tracks_per_playlist": 98.12,
        "playlists_per_track": 1.41,
        "homogeneity": 0.60,
    },
    ("lfm", "train"): {"num_tracks": 87_558},
    ("lfm", "test"): {
        "num_tracks": 17_439,
        "num_playlists": 1_000,
        "tracks_per_playlist": 91.04,
        "playlists_per_track": 4.63,
        "homogeneity": 0.56,
    },
}
"""LARP (KDD 2024), table 1; what it does not print is absent here."""

TABLE_1_COLUMNS = {
    "num_tracks": ("tracks", 0),
    "num_playlists": ("playlists", 0),
    "tracks_per_playlist": ("tracks / playlist", 2),
    "playlists_per_track": ("playlists / track", 2),
    "homogeneity": ("homogeneity", 2),
}
"""Column: its heading and decimals."""

TABLE_2_ROWS = (
    metadata_row(RANDOM),
    metadata_row(SAME_ARTIST),
    metadata_row(ARTIST_AND_ALBUM),
    metadata_row(ARTIST_CO_OCCURRENCE),
    metadata_row(CAPTION_TFIDF),
    Row("mel_statistics"),
    Row("clap_ft"),
    Row("larp_tpc_fusion", name="LARP (TPC-fusion)"),
    metadata_row(ORACLE),
)
TABLE_2_MISSING = (
    ("Jukebox, MULE, CO-Playlist, CLAP-PT", "encoders that are not part of the graph yet"),
    ("DropoutNet, CLCRec", "recommenders that are not part of the graph yet"),
)
TABLE_3_ROWS = (
    metadata_row(RANDOM),
    metadata_row(CAPTION_TFIDF),
    Row("bert"),
    Row("htsat"),
    Row("larp_wtc"),
    Row("larp_ttc"),
    Row("larp_ttc_continued"),
    Row("larp_tpc"),
    Row("larp_tpc_fusion"),
    metadata_row(ORACLE),
)


def build_table_1(job: Job) -> Report:
    """Sizes and homogeneity of every dataset's splits, with the paper's own figures in columns that say so.

    Parquet: `dataset`, the columns of `split_statistics`, and `paper_*` for each that the paper prints, else null.
    """
    frames = [_with_paper(dataset, split_statistics(job.settings.paths(dataset))) for dataset in job.settings.datasets]
    table = pl.concat(frames)
    figures = [heading for name, _ in TABLE_1_COLUMNS.values() for heading in (name, f"{name} (paper)")]
    header = ["dataset", "split", *figures]
    rows = [_table_1_cells(line) for line in table.iter_rows(named=True)]
    titles = "; ".join(dataset_title(job.settings, dataset) for dataset in job.settings.datasets)
    text = (
        "# Table 1: the datasets\n\n"
        + markdown.table(header, rows)
        + f"\n{titles}. A train playlist is its interactions with train tracks; a valid or test one is its seeds and "
        "targets. Homogeneity: mean cosine over all pairs of a test playlist's audio vectors as LARP-WTC makes them, "
        f"averaged over the test playlists with at least two tracks that have sound ({_heard(table)}). Columns marked "
        "(paper) are LARP's table 1, on the paper's own data and splits; – stands where it prints nothing, or nothing "
        "could be measured.\n"
    )
    return _write(job, "table_1", table, text, {"Splits": [dict(zip(header, row, strict=True)) for row in rows]})


def build_table_2(job: Job) -> Report:
    """Encoders under each recommender, beside random, oracle, the metadata rows and mel statistics."""
    missing = "\n".join(f"- {names}: {reason}." for names, reason in TABLE_2_MISSING)
    closing = f"Rows of the paper's table 2 that could not be run, and so are not filled:\n\n{missing}\n"
    return _score_table(job, "table_2", "Table 2: encoders under each recommender", TABLE_2_ROWS, closing)


def build_table_3(job: Job) -> Report:
    """What each stage and the fusion layer add, beside stage 2 trained for as many further epochs as stage 3."""
    closing = (
        '"TTC continued" is LARP-TTC trained for as many further epochs as stage 3: the fair rival of LARP-TPC and '
        "LARP-TPC-fusion, whose loss contains that of TTC.\n"
    )
    return _score_table(job, "table_3", "Table 3: what each stage adds", TABLE_3_ROWS, closing)


def _score_table(job: Job, name: str, title: str, rows: Sequence[Row], closing: str) -> Report:
    sections, frames = [f"# {title}\n"], []
    for dataset in job.settings.datasets:
        scores = collect(job.settings.paths(dataset), rows, job.recipe.evaluation.ks)
        frames.append(scores)
        sections += [f"## {dataset_title(job.settings, dataset)}\n", _caption(job, dataset), to_markdown(scores)]
        if lines := missing_lines(scores):
            sections.append(f"Rows that could not be run:\n\n{lines}")
    table = pl.concat(frames)
    text = "\n".join([*sections, closing])
    shown = {
        dataset_title(job.settings, dataset): report_rows(part.filter(pl.col("metric") == "recall"), "row")
        for dataset, part in zip(job.settings.datasets, frames, strict=True)
    }
    return _write(job, name, table.drop("is_learned"), text, shown)


def _caption(job: Job, dataset: str) -> str:
    holdouts = load_holdouts(job.settings.paths(dataset), "test")
    evaluation, share = job.recipe.evaluation, job.recipe.split.seed_fraction
    return (
        f"{len(holdouts.playlist_ids):,} test playlists; seeds: round({share:g} n) of a playlist's n tracks, drawn by "
        f"its own hash; candidates: the {len(holdouts.candidates):,} test tracks but the playlist's seeds. In brackets "
        f"bootstrap {evaluation.confidence:.0%} intervals over playlists ({evaluation.bootstrap_samples:,} resamples). "
        f"**Bold**: best of the learned rows. {CHANCE_MARK}: can't be told from chance (the interval holds it or lies "
        f"below). Random is exact; oracle is the most that any ranking can reach. {_origin(job)}\n"
    )


def _origin(job: Job) -> str:
    model = job.recipe.model
    towers = {"audio": model.audio.pretrained, "text": model.text.pretrained}
    words = [f"{tower} tower {f'starts from {name}' if name else 'from scratch'}" for tower, name in towers.items()]
    return f"CLAP-FT and LARP: {', '.join(words)}."


def _with_paper(dataset: str, statistics: pl.DataFrame) -> pl.DataFrame:
    def paper(column: str) -> pl.Series:
        figures = [PAPER_TABLE_1.get((dataset, split), {}).get(column) for split in statistics["split"]]
        return pl.Series(f"paper_{column}", figures, pl.Float64)

    papers = [paper(column) for column in TABLE_1_COLUMNS]
    return statistics.with_columns(*papers).select(pl.lit(dataset).alias("dataset"), pl.all())


def _table_1_cells(line: dict[str, Any]) -> list[str]:
    figures = [
        markdown.number(line[prefix + column], decimals)
        for column, (_, decimals) in TABLE_1_COLUMNS.items()
        for prefix in ("", "paper_")
    ]
    return [line["dataset"], line["split"], *figures]


def _heard(table: pl.DataFrame) -> str:
    tests = table.filter(pl.col("split") == "test")
    return ", ".join(f"{row['num_playlists_heard']} in {row['dataset']}" for row in tests.iter_rows(named=True))


def _write(job: Job, name: str, table: pl.DataFrame, text: str, shown: dict[str, list[dict[str, Any]]]) -> Report:
    folder = job.settings.shared.reports
    write_parquet(table, folder / f"{name}.parquet")
    write_text(text, folder / f"{name}.md")
    return Report(table.height, facts={"datasets": ", ".join(job.settings.datasets)}, tables=shown)
