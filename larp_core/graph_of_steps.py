"""The list of steps, in the order of the data's flow, from raw files to tables."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from larp_core.benchmark.names import HYBRID_ENCODERS
from larp_core.encoders.catalogue import CATALOGUE, ENCODERS, TRAINED, Encoder
from larp_core.settings import DATASETS_WITH_AUDIO, Settings
from larp_core.steps import Job, Step

FUSED = ("larp_tpc_fusion",)
"""Encoders that have learned how a playlist's tracks become one vector."""


FIGURE_3_ENCODERS = ("bert", "htsat", "larp_wtc", "larp_ttc", "larp_tpc", "larp_tpc_fusion")
"""The panels of the paper's figure 3, which are the rows of its table 3."""

SENSITIVE_ENCODER = "larp_tpc_fusion"
NEIGHBOUR_COUNTS = (1, 5, 10, 30)
"""Figure 4: the |J| that the encoder is trained with."""

TRANSFER_ENCODER = "larp_tpc_fusion"
TRANSFER_FROM, TRANSFER_TO = "mpd", "lfm"
"""Table 4: what is trained on the one dataset and run on the other."""


def has_transfer(settings: Settings) -> bool:
    return TRANSFER_FROM in settings.datasets and TRANSFER_TO in settings.datasets


def fuses_playlists(job: Job) -> bool:
    """Whether this job's encoder is asked for vectors of playlists, beside those of tracks."""
    return job.encoder in FUSED and job.recipe.evaluation.playlist_vector == "fusion"


def _after(*names: str) -> Any:
    return lambda settings: list(names)


def _recipe(*sections: str) -> Any:
    return lambda job: {name: asdict(getattr(job.recipe, name)) for name in sections}


def _existing(path: Path | None) -> list[Path]:
    return [path] if path else []


def _paper_lists(job: Job) -> list[Path]:
    reads_them = job.recipe.split.policy_for(job.dataset) == "paper_lists"
    return _existing(job.settings.paper_lists_dir) if reads_them else []


def _listed_clips(job: Job) -> list[Path]:
    return _existing(job.settings.paper_lists_dir) if job.recipe.clip.offsets == "paper_lists" else []


def _source_upstream(settings: Settings) -> list[str]:
    return ["demo_world"] if settings.is_demo else []


def _audio_sources(job: Job) -> dict[str, Any]:
    """Where audio may come from and what passes for the right one; not how fast it is got."""
    named = [] if job.dataset in DATASETS_WITH_AUDIO else list(job.settings.audio_sources_in_order)
    tolerance = {"tolerance": job.recipe.acquire.duration_tolerance_seconds} if "youtube" in named else {}
    return {"sources": named, "retry": job.settings.audio_retry, **tolerance}


def _audio_files(job: Job) -> list[Path]:
    if job.dataset in DATASETS_WITH_AUDIO:
        return _existing(job.settings.audio_dir_of(job.dataset))
    named = job.settings.audio_sources_in_order
    files = {"folder": job.settings.audio_dir, "urls": job.settings.audio_urls}
    return [path for source, path in files.items() if source in named and path]


def _has_tracks_to_look_up(job: Job) -> bool:
    from larp_core.data.metadata import has_tracks_to_look_up

    return has_tracks_to_look_up(job)


def _has_audio_to_get(job: Job) -> bool:
    from larp_core.audio.ledger import has_audio_to_get

    return has_audio_to_get(job.paths.ledger, job.settings.data_dir)


def _has_unread_files(job: Job) -> bool:
    from larp_core.data.rejects import has_unread_files

    return has_unread_files(job.paths.rejects)


def _has_clips_to_cut(job: Job) -> bool:
    from larp_core.audio.clips import has_clips_to_cut

    return has_clips_to_cut(job.paths)


def _training_config(job: Job) -> dict[str, Any]:
    """All of the training section that the weights depend on: no other stage's epochs, so that changing one stage
    retrains from that one on, and not how often it is saved."""
    training = asdict(job.recipe.training) | {"epochs": job.recipe.training.epochs_of(job.encoder)}
    for name in ("device", "save_every_steps", "save_every_minutes"):
        del training[name]
    sections = {name: asdict(getattr(job.recipe, name)) for name in TRAINED[job.encoder].sections}
    return sections | {"training": training}


def _trained(encoder: Encoder) -> Step:
    assert encoder.training is not None
    data, parent = ("captions", "mels", "cold_start_split", "interaction_graph"), encoder.training.parent
    return Step(
        encoder.name,
        encoder.training.summary,
        "larp_core.training.stages:train_stage",
        upstream=_after(*data, *([parent] if parent else [])),
        outputs=lambda job: [job.paths.model(encoder.name)],
        config=_training_config,
        torch=True,
    )


def neighbours_of(job: Job) -> int:
    """|J| of a step `sensitivity/j_<J>`."""
    return int(job.encoder.removeprefix("j_"))


def _sensitivity_config(job: Job) -> dict[str, Any]:
    training = asdict(job.recipe.training) | {"epochs": job.recipe.training.epochs_of(SENSITIVE_ENCODER)}
    for name in ("device", "save_every_steps", "save_every_minutes", "num_neighbours"):
        del training[name]
    return {"model": asdict(job.recipe.model), "training": training, "evaluation": asdict(job.recipe.evaluation)}


def _sensitivity(count: int) -> Step:
    """Stage 3 once more with another number of tracks for a playlist; not a part of `train_all`."""
    parent = TRAINED[SENSITIVE_ENCODER].parent
    assert parent is not None
    return Step(
        f"sensitivity/j_{count}",
        f"Stage 3 with fusion trained with {count} tracks for a playlist, and what that gives.",
        "larp_core.training.sensitivity:train_with_neighbours",
        upstream=_after("captions", "mels", "cold_start_split", "interaction_graph", parent),
        outputs=lambda job: [job.paths.sensitivity(f"j_{count}")],
        config=_sensitivity_config,
        torch=True,
    )


def _embedded(job: Job) -> list[Path]:
    playlists = [job.paths.playlist_embeddings(job.encoder)] if fuses_playlists(job) else []
    return [job.paths.embeddings(job.encoder), *playlists]


def _has_missing_weights(job: Job) -> bool:
    from larp_core.encoders.embed import has_missing_weights

    return has_missing_weights(job)


def _weights_config(encoder: Encoder) -> Any:
    """What decides an encoder's vectors beside its upstream: the recipe's towers, or where the user's weights are."""

    def config(job: Job) -> dict[str, Any]:
        if encoder.training:
            return {"playlist_vector": "fusion"} if fuses_playlists(job) else {}
        named = {name: getattr(job.settings, name) for name in (encoder.weights, encoder.command) if name}
        return named | _recipe("encoders")(job) if named else _recipe("model", "training")(job)

    return config


def _weights_files(encoder: Encoder) -> Any:
    def files(job: Job) -> list[Path]:
        named = Path(getattr(job.settings, encoder.weights)) if encoder.weights else None
        return [named] if named and named.exists() else []

    return files


def _embeddings(encoder: Encoder) -> Step:
    model = [encoder.name] if encoder.training else []
    return Step(
        f"embeddings/{encoder.name}",
        f"One vector a track from {encoder.title}, for every track of the split.",
        "larp_core.encoders.embed:embed_tracks",
        upstream=_after("captions", "mels", "cold_start_split", *model),
        outputs=_embedded,
        config=_weights_config(encoder),
        external=_weights_files(encoder),
        again=_has_missing_weights,
        torch=encoder.torch,
        version=1 + encoder.version,
    )


def _scores_of(name: str) -> Any:
    """The ranked lists, every playlist's values, the summary."""
    return lambda job: [job.paths.rankings(name), job.paths.scores(f"{name}_playlists"), job.paths.scores(name)]


def _scores(encoder: Encoder) -> Step:
    return Step(
        f"scores/{encoder.name}",
        f"ItemKNN, DropoutNet and CLCRec on {encoder.title}: metrics on the test playlists, with bootstrap intervals.",
        "larp_core.benchmark.scores:score_encoder",
        upstream=_after(f"embeddings/{encoder.name}", "playlists", "cold_start_split", "wmf"),
        outputs=_scores_of(encoder.name),
        config=_recipe("evaluation", "recommenders"),
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


def _reports(*names: str) -> Any:
    return lambda job: [job.settings.shared.reports / name for name in names]


ALL_EMBEDDINGS = tuple(f"embeddings/{encoder}" for encoder in ENCODERS)
ALL_SCORES = ("scores/metadata", *(f"scores/{encoder}" for encoder in ENCODERS), "scores/hybrid")

_STEPS = [
    Step(
        "demo_world",
        "A small synthetic world of music in the real formats: MP3s, playlist slices, listening events.",
        "larp_core.demo.world:build_demo_world",
        outputs=lambda job: [job.settings.shared.demo_world],
        config=_recipe("world"),
        shared=True,
        version=2,
    ),
    Step(
        "source",
        "The raw files that this dataset is read from, checked and counted.",
        "larp_core.data.source:check_source",
        upstream=_source_upstream,
        outputs=lambda job: [job.paths.source],
        external=lambda job: _existing(job.settings.source_dir(job.dataset)),
        again=_has_unread_files,
    ),
    Step(
        "playlists",
        "Playlists, tracks and interactions as Parquet, read from the raw files.",
        "larp_core.data.tables:build_tables",
        upstream=_after("source"),
        outputs=lambda job: [job.paths.playlists, job.paths.tracks, job.paths.interactions, job.paths.rejects],
        config=_recipe("ingest"),
        external=lambda job: _existing(job.settings.source_dir(job.dataset)),
        again=_has_unread_files,
        version=3,
    ),
    Step(
        "cold_start_split",
        "Train, validation and test share no track and no playlist; seeds and targets of each held-out playlist.",
        "larp_core.data.split:build_split",
        upstream=_after("playlists"),
        outputs=lambda job: [job.paths.split_playlists, job.paths.split_tracks, job.paths.holdouts],
        config=_recipe("split"),
        external=_paper_lists,
    ),
    Step(
        "metadata",
        "Names of tracks, artists and albums, and where each came from.",
        "larp_core.data.metadata:build_metadata",
        upstream=_after("playlists", "cold_start_split"),
        outputs=lambda job: [job.paths.metadata],
        config=lambda job: {"spotify": job.settings.spotify and not job.settings.is_demo},
        again=_has_tracks_to_look_up,
        version=2,
    ),
    Step(
        "mp3",
        "Audio of every track of the split, and the ledger: one row a track with the outcome and its reason.",
        "larp_core.audio.acquire:acquire_audio",
        upstream=_after("cold_start_split", "metadata", "source"),
        outputs=lambda job: [job.paths.ledger],
        config=_audio_sources,
        external=_audio_files,
        again=_has_audio_to_get,
    ),
    Step(
        "clips",
        "Ten seconds of 48 kHz mono FLAC a clip, one or several a track, offsets recorded.",
        "larp_core.audio.clips:build_clips",
        upstream=_after("mp3"),
        outputs=lambda job: [job.paths.clips],
        config=_recipe("clip"),
        external=_listed_clips,
        again=_has_clips_to_cut,
        shard="larp_core.audio.clips:build_shard",
        version=2,
    ),
    Step(
        "captions",
        "One caption a track from the recipe's template; missing fields leave no holes.",
        "larp_core.data.captions:build_captions",
        upstream=lambda settings: ["metadata", *(["clips"] if settings.recipe.caption.needs_clips else [])],
        outputs=lambda job: [job.paths.captions],
        config=_recipe("caption"),
        version=2,
    ),
    Step(
        "mels",
        "Log-mel spectrograms [num_clips, 1001, 64] in one float16 array that training maps into memory.",
        "larp_core.audio.mels:build_mels",
        upstream=_after("clips"),
        outputs=lambda job: [job.paths.mels, job.paths.mel_rows],
        version=2,
    ),
    Step(
        "interaction_graph",
        "DuckDB: the bipartite graph R of playlists and tracks, and the view co_occurrence, the track graph O.",
        "larp_core.data.graph:build_graph",
        upstream=_after("playlists", "cold_start_split", "clips"),
        outputs=lambda job: [job.paths.graph],
        repeatable=False,
    ),
    *(_trained(CATALOGUE[name]) for name in TRAINED),
    *(_embeddings(encoder) for encoder in CATALOGUE.values()),
    Step(
        "wmf",
        "Weighted matrix factorisation of train playlists x train tracks: collaborative vectors for DropoutNet.",
        "larp_core.benchmark.recommenders.wmf:fit_wmf",
        upstream=_after("playlists", "cold_start_split"),
        outputs=lambda job: [job.paths.wmf_playlists, job.paths.wmf_tracks],
        config=lambda job: asdict(job.recipe.recommenders.wmf),
    ),
    Step(
        "scores/metadata",
        "Rows without a model: random, oracle, same artist, artist + album, artist co-occurrence, caption TF-IDF.",
        "larp_core.benchmark.scores:score_metadata_rows",
        upstream=_after("playlists", "captions", "metadata", "cold_start_split"),
        outputs=_scores_of("metadata"),
        config=_recipe("evaluation"),
        version=3,
    ),
    *(_scores(encoder) for encoder in CATALOGUE.values()),
    Step(
        "scores/hybrid",
        "LARP's vectors and the metadata combined, weights fitted on validation; and the metadata alone.",
        "larp_core.benchmark.hybrid:score_hybrids",
        upstream=_after(
            *("playlists", "captions", "metadata", "cold_start_split"),
            *(f"embeddings/{encoder}" for encoder in HYBRID_ENCODERS),
        ),
        outputs=_scores_of("hybrid"),
        config=_recipe("evaluation"),
    ),
    Step(
        "listening_page",
        "A page for the ear: some test playlists, their continuations and the clips, to be opened in a browser.",
        "larp_core.benchmark.listening:build_listening_page",
        upstream=_after("playlists", "cold_start_split", "metadata", "mp3", "clips", "embeddings/larp_tpc"),
        outputs=lambda job: [job.settings.shared.listening_page(job.dataset)],
        config=_listening_config,
    ),
    Step(
        "table_1",
        "Paper table 1: size of each dataset's splits and homogeneity of its playlists.",
        "larp_core.benchmark.tables:build_table_1",
        upstream=_after("playlists", "cold_start_split", "embeddings/larp_wtc"),
        outputs=_reports("table_1.parquet", "table_1.md"),
        shared=True,
    ),
    Step(
        "table_2",
        "Paper table 2: encoders under each recommender, beside random, oracle and the metadata rows.",
        "larp_core.benchmark.tables:build_table_2",
        upstream=_after(*ALL_SCORES),
        outputs=_reports("table_2.parquet", "table_2.md"),
        shared=True,
        version=2,
    ),
    Step(
        "table_3",
        "Paper table 3: what each stage and the fusion layer add, beside stage 2 trained for as long.",
        "larp_core.benchmark.tables:build_table_3",
        upstream=_after(*ALL_SCORES),
        outputs=_reports("table_3.parquet", "table_3.md"),
        shared=True,
        version=2,
    ),
    Step(
        "transfer",
        "LFM-2b's tracks as the model trained on MPD sees them.",
        "larp_core.encoders.transfer:embed_transferred",
        upstream=_after("captions", "mels", "cold_start_split", TRANSFER_ENCODER),
        outputs=_transferred,
        torch=True,
        shared=True,
    ),
    Step(
        "table_4",
        "Paper table 4: weights trained on MPD, run on LFM-2b, beside those trained there.",
        "larp_core.benchmark.table_4:build_table_4",
        upstream=_after("playlists", "cold_start_split", "transfer", *ALL_SCORES),
        outputs=_reports("table_4.parquet", "table_4.md"),
        config=_recipe("evaluation"),
        shared=True,
    ),
    Step(
        "figure_3",
        "Paper figure 3: one test playlist's tracks against the cloud of all, by each encoder of the ablation.",
        "larp_core.benchmark.figure_3:build_figure_3",
        upstream=_after("playlists", "cold_start_split", *(f"embeddings/{name}" for name in FIGURE_3_ENCODERS)),
        outputs=_reports("figure_3.png", "figure_3.parquet"),
        config=_recipe("evaluation"),
        shared=True,
    ),
    Step(
        "list_metrics",
        "What each row's lists are like: artists and albums found, coverage, novelty, similarity.",
        "larp_core.benchmark.list_table:build_list_metrics",
        upstream=_after("playlists", "cold_start_split", "metadata", *ALL_EMBEDDINGS, *ALL_SCORES),
        outputs=_reports("list_metrics.parquet", "list_metrics.md"),
        config=_recipe("evaluation"),
        shared=True,
    ),
    Step(
        "slices",
        "Recall by homogeneity, popularity of the artist, audio and number of seeds shown.",
        "larp_core.benchmark.slice_table:build_slices",
        upstream=_after("playlists", "cold_start_split", "metadata", "captions", "mels", *ALL_EMBEDDINGS, *ALL_SCORES),
        outputs=_reports("slices.parquet", "slices.md"),
        config=_recipe("evaluation", "report"),
        shared=True,
    ),
    Step(
        "differences",
        "LARP's rows minus every other on the same playlists, with intervals.",
        "larp_core.benchmark.differences:build_differences",
        upstream=_after(*ALL_SCORES),
        outputs=_reports("differences.parquet", "differences.md"),
        config=_recipe("evaluation"),
        shared=True,
    ),
    Step(
        "figure_5",
        "Paper figure 5: validation Recall@10 by epoch through the three stages.",
        "larp_core.benchmark.figures:build_figure_5",
        upstream=_after(*TRAINED),
        outputs=_reports("figure_5.png"),
        shared=True,
    ),
]

_STEPS += [_sensitivity(count) for count in NEIGHBOUR_COUNTS]
_STEPS.append(
    Step(
        "figure_4",
        "Paper figure 4: Recall@10 against the number of tracks that stand for a playlist in stage 3's training.",
        "larp_core.benchmark.figure_4:build_figure_4",
        upstream=_after(*(f"sensitivity/j_{count}" for count in NEIGHBOUR_COUNTS)),
        outputs=_reports("figure_4.png", "figure_4.parquet"),
        config=lambda job: [asdict(job.recipe.evaluation), job.recipe.training.num_neighbours],
        shared=True,
    )
)

REPORTED = ("table_1", "table_2", "table_3", "table_4", "differences", "list_metrics", "slices", "figure_3", "figure_5")

_STEPS.append(
    Step(
        "report",
        "One page to send around: all tables and figures, what was run, what was not and why.",
        "larp_core.benchmark.report_page:build_report_page",
        upstream=_after("playlists", "cold_start_split", *ALL_SCORES, *REPORTED),
        outputs=_reports("report.html"),
        config=lambda job: [job.recipe.name, job.recipe.summary, job.settings.is_demo],
        external=_reports("figure_4.png"),
        shared=True,
    )
)

STEPS = {step.name: step for step in _STEPS}


def jobs_of(settings: Settings) -> list[Job]:
    """Every step of the graph for these settings, each after what it depends on."""
    jobs = []
    for step in _STEPS:
        if step.name == "demo_world" and not settings.is_demo:
            continue
        jobs += [Job(step, settings, dataset) for dataset in ([""] if step.shared else settings.datasets)]
    return sorted(jobs, key=lambda job: job.step.shared and job.step.name != "demo_world")
