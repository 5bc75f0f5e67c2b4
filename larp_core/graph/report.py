"""Steps that make tables, figures and pages of the scores."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from larp_core.config.encoders import ENCODERS, FIGURE_3_ENCODERS, NEIGHBOUR_COUNTS, SCORE_FILES
from larp_core.config.stages import STAGES
from larp_core.graph.encoders import TRANSFER
from larp_core.graph.job import Call, Job, Step
from larp_core.graph.words import after, of_settings, recipe, reports

ALL_EMBEDDINGS = tuple(f"embeddings/{encoder}" for encoder in ENCODERS)

ALL_SCORES = tuple(f"scores/{name}" for name in SCORE_FILES)

REPORTED = ("table_1", "table_2", "table_3", "table_4", "differences", "list_metrics", "slices", "figure_3", "figure_5")


def _listening_config(job: Job) -> dict[str, Any]:
    """What the page says of the run, and what it draws the playlists by."""
    recipe = job.recipe
    return {"recipe": [recipe.name, recipe.summary], "seed": recipe.evaluation.seed, "is_demo": job.settings.is_demo}


REPORTS = [
    Step(
        "listening_page",
        "A page for the ear: some test playlists, their continuations and the clips, to be opened in a browser.",
        Call(
            "larp_core.report.listening:build_listening_page",
            lambda job: {"settings": job.settings, "dataset": job.dataset},
        ),
        upstream=after("playlists", "cold_start_split", "metadata", "mp3", "clips", "embeddings/larp_tpc"),
        outputs=lambda job: [job.settings.shared.listening_page(job.dataset)],
        config=_listening_config,
        kinds=("html", "flac"),
    ),
    Step(
        "table_1",
        "Paper table 1: size of each dataset's splits and homogeneity of its playlists.",
        of_settings("larp_core.report.tables:build_table_1"),
        upstream=after("playlists", "cold_start_split", "embeddings/larp_wtc"),
        outputs=reports("table_1.parquet", "table_1.md"),
        shared=True,
        kinds=("parquet", "markdown"),
    ),
    Step(
        "table_2",
        "Paper table 2: encoders under each recommender, beside random, oracle and the metadata rows.",
        of_settings("larp_core.report.tables:build_table_2"),
        upstream=after(*ALL_SCORES),
        outputs=reports("table_2.parquet", "table_2.md"),
        shared=True,
        kinds=("parquet", "markdown"),
        version=2,
    ),
    Step(
        "table_3",
        "Paper table 3: what each stage and the fusion layer add, beside stage 2 trained for as long.",
        of_settings("larp_core.report.tables:build_table_3"),
        upstream=after(*ALL_SCORES),
        outputs=reports("table_3.parquet", "table_3.md"),
        shared=True,
        kinds=("parquet", "markdown"),
        version=2,
    ),
    TRANSFER,
    Step(
        "table_4",
        "Paper table 4: weights trained on MPD, run on LFM-2b, beside those trained there.",
        of_settings("larp_core.report.table_4:build_table_4"),
        upstream=after("playlists", "cold_start_split", "transfer", *ALL_SCORES),
        outputs=reports("table_4.parquet", "table_4.md"),
        config=recipe("evaluation"),
        shared=True,
        kinds=("parquet", "markdown"),
    ),
    Step(
        "figure_3",
        "Paper figure 3: one test playlist's tracks against the cloud of all, by each encoder of the ablation.",
        of_settings("larp_core.report.figure_3:build_figure_3"),
        upstream=after("playlists", "cold_start_split", *(f"embeddings/{name}" for name in FIGURE_3_ENCODERS)),
        outputs=reports("figure_3.png", "figure_3.parquet"),
        config=recipe("evaluation"),
        shared=True,
        kinds=("matplotlib", "png"),
    ),
    Step(
        "list_metrics",
        "What each row's lists are like: artists and albums found, coverage, novelty, similarity.",
        of_settings("larp_core.report.list_table:build_list_metrics"),
        upstream=after("playlists", "cold_start_split", "metadata", *ALL_EMBEDDINGS, *ALL_SCORES),
        outputs=reports("list_metrics.parquet", "list_metrics.md"),
        config=recipe("evaluation"),
        shared=True,
        kinds=("parquet", "markdown"),
    ),
    Step(
        "slices",
        "Recall by homogeneity, popularity of the artist, audio and number of seeds shown.",
        of_settings("larp_core.report.slice_table:build_slices"),
        upstream=after("playlists", "cold_start_split", "metadata", "captions", "mels", *ALL_EMBEDDINGS, *ALL_SCORES),
        outputs=reports("slices.parquet", "slices.md"),
        config=recipe("evaluation", "report"),
        shared=True,
        kinds=("parquet", "markdown"),
    ),
    Step(
        "differences",
        "LARP's rows minus every other on the same playlists, with intervals.",
        of_settings("larp_core.report.differences:build_differences"),
        upstream=after(*ALL_SCORES),
        outputs=reports("differences.parquet", "differences.md"),
        config=recipe("evaluation"),
        shared=True,
        kinds=("parquet", "markdown"),
    ),
    Step(
        "figure_5",
        "Paper figure 5: validation Recall@10 by epoch through the three stages.",
        of_settings("larp_core.report.figures:build_figure_5"),
        upstream=after(*STAGES),
        outputs=reports("figure_5.png"),
        shared=True,
        kinds=("matplotlib", "png"),
    ),
    Step(
        "figure_4",
        "Paper figure 4: Recall@10 against the number of tracks that stand for a playlist in stage 3's training.",
        of_settings("larp_core.report.figure_4:build_figure_4"),
        upstream=after(*(f"sensitivity/j_{count}" for count in NEIGHBOUR_COUNTS)),
        outputs=reports("figure_4.png", "figure_4.parquet"),
        config=lambda job: [asdict(job.recipe.evaluation), job.recipe.training.num_neighbours],
        shared=True,
        kinds=("matplotlib", "png"),
    ),
    Step(
        "report",
        "One page to send around: all tables and figures, what was run, what was not and why.",
        of_settings("larp_core.report.report_page:build_report_page"),
        upstream=after("playlists", "cold_start_split", *ALL_SCORES, *REPORTED),
        outputs=reports("report.html"),
        config=lambda job: [job.recipe.name, job.recipe.summary, job.settings.is_demo],
        external=reports("figure_4.png"),
        shared=True,
        kinds=("html",),
    ),
]
