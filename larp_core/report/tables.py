"""The paper's tables 1 to 3 from this graph's own files, each as Parquet and as Markdown below `reports/`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from larp_core.config.settings import Settings
from larp_core.evaluation.holdouts import load_holdouts
from larp_core.evaluation.names import (
    ARTIST_AND_ALBUM,
    ARTIST_CO_OCCURRENCE,
    CAPTION_TFIDF,
    CLCREC,
    DISPLAY_NAMES,
    DROPOUTNET,
    HYBRID_ALONE,
    HYBRID_ENCODERS,
    ITEMKNN,
    ORACLE,
    RANDOM,
    RECOMMENDERS,
    SAME_ARTIST,
    dataset_title,
    hybrid_row,
)
from larp_core.evaluation.recommenders.catalogue import variants_of
from larp_core.evaluation.score_files import METRIC_LETTERS, report_rows
from larp_core.evaluation.split_statistics import split_statistics
from larp_core.report.published import PAPER_TABLE_1, PAPER_TABLE_2, PAPER_TABLE_3, Published
from larp_core.report.score_table import (
    CHANCE_MARK,
    Row,
    collect,
    hybrid_of,
    metadata_row,
    missing_lines,
    spread_table,
    to_markdown,
    write_table,
)
from larp_core.runtime import markdown
from larp_core.runtime.report import Report

TABLE_1_COLUMNS = {
    "num_tracks": ("tracks", 0),
    "num_playlists": ("playlists", 0),
    "tracks_per_playlist": ("tracks / playlist", 2),
    "playlists_per_track": ("playlists / track", 2),
    "homogeneity": ("homogeneity", 2),
}
"""Column: its heading and decimals."""

TABLE_2_ENCODERS = {
    "mel_statistics": "mel statistics",
    "jukebox": "Jukebox",
    "mule": "MULE",
    "co_playlist": "CO-Playlist",
    "clap_pt": "CLAP-PT",
    "clap_ft": "CLAP-FT",
    "larp_tpc_fusion": "LARP (TPC-fusion)",
}
"""The paper's names in its order, after mel statistics, which are nobody's model."""

TABLE_2_METADATA = (RANDOM, SAME_ARTIST, ARTIST_AND_ALBUM, ARTIST_CO_OCCURRENCE, CAPTION_TFIDF)
PAPER_NOTE = (
    "Columns marked (paper) are LARP's own published figures, on its own data and splits, with models selected on its "
    "test split; – stands where it prints nothing.\n"
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
    hybrid_of(HYBRID_ALONE),
    *(hybrid_of(hybrid_row(encoder)) for encoder in HYBRID_ENCODERS),
    metadata_row(ORACLE),
)


def build_table_1(settings: Settings) -> Report:
    """Sizes and homogeneity of every dataset's splits, with the paper's own figures in columns that say so.

    Parquet: `dataset`, the columns of `split_statistics`, and `paper_*` for each that the paper prints, else null.
    """
    frames = [_with_paper(dataset, split_statistics(settings.paths(dataset))) for dataset in settings.datasets]
    table = pl.concat(frames)
    figures = [heading for name, _ in TABLE_1_COLUMNS.values() for heading in (name, f"{name} (paper)")]
    header = ["dataset", "split", *figures]
    rows = [_table_1_cells(line) for line in table.iter_rows(named=True)]
    titles = "; ".join(dataset_title(settings, dataset) for dataset in settings.datasets)
    text = (
        "# Table 1: the datasets\n\n"
        + markdown.table(header, rows)
        + f"\n{titles}. A train playlist is its interactions with train tracks; a valid or test one is its seeds and "
        "targets. Homogeneity: mean cosine over all pairs of a test playlist's audio vectors as LARP-WTC makes them, "
        f"averaged over the test playlists with at least two tracks that have sound ({_heard(table)}). Columns marked "
        "(paper) are LARP's table 1, on the paper's own data and splits; – stands where it prints nothing, or nothing "
        "could be measured.\n"
    )
    return write_table(
        settings, "table_1", table, text, {"Splits": [dict(zip(header, row, strict=True)) for row in rows]}
    )


def build_table_2(settings: Settings) -> Report:
    """Encoders under each recommender, beside random, oracle, the metadata rows, hybrids and mel statistics."""
    encoders = [encoder for encoder in TABLE_2_ENCODERS if encoder in DISPLAY_NAMES]
    rows = [
        *(metadata_row(name) for name in TABLE_2_METADATA),
        *(_table_2_row(encoder, recommender) for recommender in RECOMMENDERS for encoder in encoders),
        hybrid_of(HYBRID_ALONE),
        hybrid_of(hybrid_row("larp_tpc_fusion")),
        metadata_row(ORACLE),
    ]
    variants = [_table_2_row(encoder, name) for encoder in encoders for name in variants_of(settings.recipe.evaluation)]
    config = settings.recipe.recommenders
    closing = (
        f"{DROPOUTNET} and {CLCREC} learn from train playlists x train tracks, stop by validation and rank cold tracks "
        f"by their content; {_seeds(settings)}. WMF, which {DROPOUTNET} regresses to: {config.wmf.solver.upper()}.\n"
    )
    absent = [name for encoder, name in TABLE_2_ENCODERS.items() if encoder not in DISPLAY_NAMES]
    if absent:
        closing += f"Of the paper's encoders not part of the graph: {', '.join(absent)}.\n"
    title = "Table 2: encoders under each recommender"
    return _score_table(settings, "table_2", title, rows, closing, PAPER_TABLE_2, variants)


def _table_2_row(encoder: str, recommender: str) -> Row:
    return Row(encoder, recommender, TABLE_2_ENCODERS[encoder])


def _seeds(settings: Settings) -> str:
    evaluation = settings.recipe.evaluation
    if evaluation.num_seeds == 1:
        return f"one seed, {evaluation.seed}"
    return f"means of {evaluation.num_seeds} seeds, from {evaluation.seed} on"


def build_table_3(settings: Settings) -> Report:
    """What each stage and the fusion layer add, beside stage 2 trained for as many further epochs as stage 3."""
    closing = (
        '"TTC continued" is LARP-TTC trained for as many further epochs as stage 3: the fair rival of LARP-TPC and '
        "LARP-TPC-fusion, whose loss contains that of TTC.\n"
    )
    return _score_table(settings, "table_3", "Table 3: what each stage adds", TABLE_3_ROWS, closing, PAPER_TABLE_3)


def _score_table(
    settings: Settings,
    name: str,
    title: str,
    rows: Sequence[Row],
    closing: str,
    published: Published,
    variants: Sequence[Row] = (),
) -> Report:
    """`variants` are rows of a second table below each dataset's own, by other similarities of ItemKNN."""
    sections, frames, shown = [f"# {title}\n"], [], {}
    for dataset in settings.datasets:
        paper = {} if settings.is_demo else published
        scores = collect(settings.paths(dataset), [*rows, *variants], settings.recipe.evaluation.ks, paper)
        own, others = scores.head(len(rows) * _cells(settings)), scores.tail(len(variants) * _cells(settings))
        frames.append(scores)
        shown[dataset_title(settings, dataset)] = report_rows(own.filter(metric="recall"), "row", "recommender")
        sections += [f"## {dataset_title(settings, dataset)}\n", _caption(settings, dataset), to_markdown(own)]
        if paper and own["paper_value"].count():
            sections.append(PAPER_NOTE)
        if lines := missing_lines(own):
            sections.append(f"Rows that could not be run:\n\n{lines}")
        learned = [row for row in rows if row.recommender in (DROPOUTNET, CLCREC)]
        if spread := spread_table(settings.paths(dataset), learned, settings.recipe.evaluation.ks):
            sections += ["### Standard deviation over the seeds\n", spread]
        if variants:
            there = others.filter(pl.col("missing").is_null())
            sections += [f"### {ITEMKNN} by other similarities\n", to_markdown(there)]
    table = pl.concat(frames)
    text = "\n".join([*sections, closing])
    return write_table(settings, name, table.drop("is_learned"), text, shown)


def _cells(settings: Settings) -> int:
    """Lines that `collect` gives for one row."""
    return len(METRIC_LETTERS) * len(settings.recipe.evaluation.ks)


def _caption(settings: Settings, dataset: str) -> str:
    holdouts = load_holdouts(settings.paths(dataset), "test")
    evaluation, share = settings.recipe.evaluation, settings.recipe.split.seed_fraction
    return (
        f"{len(holdouts.playlist_ids):,} test playlists; seeds: round({share:g} n) of a playlist's n tracks, drawn by "
        f"its own hash; candidates: the {len(holdouts.candidates):,} test tracks but the playlist's seeds. In brackets "
        f"bootstrap {evaluation.confidence:.0%} intervals over playlists ({evaluation.bootstrap_samples:,} resamples). "
        f"**Bold**: best of the learned rows. {CHANCE_MARK}: can't be told from chance (the interval holds it or lies "
        f"below). Random is exact; oracle is the most that any ranking can reach. {_origin(settings)}\n"
    )


def _origin(settings: Settings) -> str:
    model = settings.recipe.model
    audio = {"htsat": "HTS-AT", "ast": "AST", "pann": "CNN14 (PANN)"}[model.audio.architecture]
    towers = {f"audio tower {audio}": model.audio.pretrained, "text tower BERT": model.text.pretrained}
    words = [f"{tower} {f'starts from {name}' if name else 'from scratch'}" for tower, name in towers.items()]
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
