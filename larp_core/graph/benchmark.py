"""Steps that score encoders, and the tables, figures and pages made of the scores."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from larp_core.config.encoders import CATALOGUE, ENCODERS, TRAINED, Encoder
from larp_core.config.settings import Settings
from larp_core.evaluation.names import HYBRID_ENCODERS
from larp_core.graph.encoders import NEIGHBOUR_COUNTS
from larp_core.graph.job import Job, Step
from larp_core.graph.words import after, recipe, reports

FIGURE_3_ENCODERS = ("bert", "htsat", "larp_wtc", "larp_ttc", "larp_tpc", "larp_tpc_fusion")
"""The panels of the paper's figure 3, which are the rows of its table 3."""


TRANSFER_ENCODER = "larp_tpc_fusion"
TRANSFER_FROM, TRANSFER_TO = "mpd", "lfm"
"""Table 4: what is trained on the one dataset and run on the other."""

ALL_EMBEDDINGS = tuple(f"embeddings/{encoder}" for encoder in ENCODERS)

ALL_SCORES = ("scores/metadata", *(f"scores/{encoder}" for encoder in ENCODERS), "scores/hybrid")

REPORTED = ("table_1", "table_2", "table_3", "table_4", "differences", "list_metrics", "slices", "figure_3", "figure_5")


def has_transfer(settings: Settings) -> bool:
    return TRANSFER_FROM in settings.datasets and TRANSFER_TO in settings.datasets


def _scores_of(name: str) -> Any:
    """The ranked lists, every playlist's values, the summary."""
    return lambda job: [job.paths.rankings(name), job.paths.scores(f"{name}_playlists"), job.paths.scores(name)]


def _scores(encoder: Encoder) -> Step:
    return Step(
        f"scores/{encoder.name}",
        f"ItemKNN, DropoutNet and CLCRec on {encoder.title}: metrics on the test playlists, with bootstrap intervals.",
        "larp_core.evaluation.scores:score_encoder",
        upstream=after(f"embeddings/{encoder.name}", "playlists", "cold_start_split", "wmf"),
        outputs=_scores_of(encoder.name),
        config=recipe("evaluation", "recommenders"),
        torch=True,
        version=4,
    )


def _listening_config(job: Job) -> dict[str, Any]:
    """What the page says of the run, and what it draws the playlists by."""
    recipe = job.recipe
    return {"recipe": [recipe.name, recipe.summary], "seed": recipe.evaluation.seed, "is_demo": job.settings.is_demo}


def _transferred(job: Job) -> list[Path]:
    paths = job.settings.paths(TRANSFER_TO)
    there = has_transfer(job.settings)
    return [paths.transferred_embeddings(TRANSFER_ENCODER, TRANSFER_FROM)] if there else []


BENCHMARK = [
    Step(
        "wmf",
        "Weighted matrix factorisation of train playlists x train tracks: collaborative vectors for DropoutNet.",
        "larp_core.evaluation.recommenders.wmf:fit_wmf",
        upstream=after("playlists", "cold_start_split"),
        outputs=lambda job: [job.paths.wmf_playlists, job.paths.wmf_tracks],
        config=lambda job: asdict(job.recipe.recommenders.wmf),
    ),
    Step(
        "scores/metadata",
        "Rows without a model: random, oracle, same artist, artist + album, artist co-occurrence, caption TF-IDF.",
        "larp_core.evaluation.scores:score_metadata_rows",
        upstream=after("playlists", "captions", "metadata", "cold_start_split"),
        outputs=_scores_of("metadata"),
        config=recipe("evaluation"),
        version=3,
    ),
    *(_scores(encoder) for encoder in CATALOGUE.values()),
    Step(
        "scores/hybrid",
        "LARP's vectors and the metadata combined, weights fitted on validation; and the metadata alone.",
        "larp_core.evaluation.hybrid:score_hybrids",
        upstream=after(
            *("playlists", "captions", "metadata", "cold_start_split"),
            *(f"embeddings/{encoder}" for encoder in HYBRID_ENCODERS),
        ),
        outputs=_scores_of("hybrid"),
        config=recipe("evaluation"),
    ),
    Step(
        "listening_page",
        "A page for the ear: some test playlists, their continuations and the clips, to be opened in a browser.",
        "larp_core.report.listening:build_listening_page",
        upstream=after("playlists", "cold_start_split", "metadata", "mp3", "clips", "embeddings/larp_tpc"),
        outputs=lambda job: [job.settings.shared.listening_page(job.dataset)],
        config=_listening_config,
    ),
    Step(
        "table_1",
        "Paper table 1: size of each dataset's splits and homogeneity of its playlists.",
        "larp_core.report.tables:build_table_1",
        upstream=after("playlists", "cold_start_split", "embeddings/larp_wtc"),
        outputs=reports("table_1.parquet", "table_1.md"),
        shared=True,
    ),
    Step(
        "table_2",
        "Paper table 2: encoders under each recommender, beside random, oracle and the metadata rows.",
        "larp_core.report.tables:build_table_2",
        upstream=after(*ALL_SCORES),
        outputs=reports("table_2.parquet", "table_2.md"),
        shared=True,
        version=2,
    ),
    Step(
        "table_3",
        "Paper table 3: what each stage and the fusion layer add, beside stage 2 trained for as long.",
        "larp_core.report.tables:build_table_3",
        upstream=after(*ALL_SCORES),
        outputs=reports("table_3.parquet", "table_3.md"),
        shared=True,
        version=2,
    ),
    Step(
        "transfer",
        "LFM-2b's tracks as the model trained on MPD sees them.",
        "larp_core.encoders.transfer:embed_transferred",
        upstream=after("captions", "mels", "cold_start_split", TRANSFER_ENCODER),
        outputs=_transferred,
        torch=True,
        shared=True,
    ),
    Step(
        "table_4",
        "Paper table 4: weights trained on MPD, run on LFM-2b, beside those trained there.",
        "larp_core.report.table_4:build_table_4",
        upstream=after("playlists", "cold_start_split", "transfer", *ALL_SCORES),
        outputs=reports("table_4.parquet", "table_4.md"),
        config=recipe("evaluation"),
        shared=True,
    ),
    Step(
        "figure_3",
        "Paper figure 3: one test playlist's tracks against the cloud of all, by each encoder of the ablation.",
        "larp_core.report.figure_3:build_figure_3",
        upstream=after("playlists", "cold_start_split", *(f"embeddings/{name}" for name in FIGURE_3_ENCODERS)),
        outputs=reports("figure_3.png", "figure_3.parquet"),
        config=recipe("evaluation"),
        shared=True,
    ),
    Step(
        "list_metrics",
        "What each row's lists are like: artists and albums found, coverage, novelty, similarity.",
        "larp_core.report.list_table:build_list_metrics",
        upstream=after("playlists", "cold_start_split", "metadata", *ALL_EMBEDDINGS, *ALL_SCORES),
        outputs=reports("list_metrics.parquet", "list_metrics.md"),
        config=recipe("evaluation"),
        shared=True,
    ),
    Step(
        "slices",
        "Recall by homogeneity, popularity of the artist, audio and number of seeds shown.",
        "larp_core.report.slice_table:build_slices",
        upstream=after("playlists", "cold_start_split", "metadata", "captions", "mels", *ALL_EMBEDDINGS, *ALL_SCORES),
        outputs=reports("slices.parquet", "slices.md"),
        config=recipe("evaluation", "report"),
        shared=True,
    ),
    Step(
        "differences",
        "LARP's rows minus every other on the same playlists, with intervals.",
        "larp_core.report.differences:build_differences",
        upstream=after(*ALL_SCORES),
        outputs=reports("differences.parquet", "differences.md"),
        config=recipe("evaluation"),
        shared=True,
    ),
    Step(
        "figure_5",
        "Paper figure 5: validation Recall@10 by epoch through the three stages.",
        "larp_core.report.figures:build_figure_5",
        upstream=after(*TRAINED),
        outputs=reports("figure_5.png"),
        shared=True,
    ),
    Step(
        "figure_4",
        "Paper figure 4: Recall@10 against the number of tracks that stand for a playlist in stage 3's training.",
        "larp_core.report.figure_4:build_figure_4",
        upstream=after(*(f"sensitivity/j_{count}" for count in NEIGHBOUR_COUNTS)),
        outputs=reports("figure_4.png", "figure_4.parquet"),
        config=lambda job: [asdict(job.recipe.evaluation), job.recipe.training.num_neighbours],
        shared=True,
    ),
    Step(
        "report",
        "One page to send around: all tables and figures, what was run, what was not and why.",
        "larp_core.report.report_page:build_report_page",
        upstream=after("playlists", "cold_start_split", *ALL_SCORES, *REPORTED),
        outputs=reports("report.html"),
        config=lambda job: [job.recipe.name, job.recipe.summary, job.settings.is_demo],
        external=reports("figure_4.png"),
        shared=True,
    ),
]
