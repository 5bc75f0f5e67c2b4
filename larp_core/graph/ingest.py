"""Steps from raw files to what a model reads: tables, split, names, audio, clips, mels, graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from larp_core.config.datasets import DATASETS
from larp_core.config.settings import Settings
from larp_core.graph.job import Call, Job, Step
from larp_core.graph.words import after, existing, of_paths, of_section, recipe

HAS_UNREAD_FILES = Call("larp_core.data.readers.rejects:has_unread_files", lambda job: {"path": job.paths.rejects})


def _paper_lists(job: Job) -> list[Path]:
    reads_them = job.recipe.split.policy_for(job.dataset) == "paper_lists"
    return existing(job.settings.paper_lists_dir) if reads_them else []


def _listed_clips(job: Job) -> list[Path]:
    return existing(job.settings.paper_lists_dir) if job.recipe.clip.offsets == "paper_lists" else []


def _source_upstream(settings: Settings) -> list[str]:
    return ["demo_world"] if settings.is_demo else []


def _raw_files(job: Job) -> list[Path]:
    return existing(job.settings.source_dir(job.dataset))


def _source(job: Job) -> dict[str, Any]:
    return {"folder": job.settings.raw_folder(job.dataset), "paths": job.paths}


def _split(job: Job) -> dict[str, Any]:
    return {"paths": job.paths, "config": job.recipe.split, "lists_dir": job.settings.paper_lists_dir}


def _asks_spotify(job: Job) -> bool:
    """Spotify knows nothing of the demo world: a setting meant for real data doesn't ask it."""
    return job.settings.spotify and not job.settings.is_demo


def _metadata(job: Job) -> dict[str, Any]:
    spotify = job.recipe.spotify if _asks_spotify(job) else None
    return {"paths": job.paths, "spotify": spotify, "answers_dir": job.settings.shared.spotify}


def _audio_sources(job: Job) -> dict[str, Any]:
    """Where audio may come from and what passes for the right one; not how fast it is got."""
    named = [] if DATASETS[job.dataset].holds_audio else list(job.settings.audio_sources_in_order)
    tolerance = {"tolerance": job.recipe.acquire.duration_tolerance_seconds} if "youtube" in named else {}
    return {"sources": named, "retry": job.settings.audio_retry, **tolerance}


def _audio_files(job: Job) -> list[Path]:
    if DATASETS[job.dataset].holds_audio:
        return existing(job.settings.audio_dir_of(job.dataset))
    named = job.settings.audio_sources_in_order
    files = {"folder": job.settings.audio_dir, "urls": job.settings.audio_urls}
    return [path for source, path in files.items() if source in named and path]


def _clips(job: Job) -> dict[str, Any]:
    return {"paths": job.paths, "config": job.recipe.clip, "lists_dir": job.settings.paper_lists_dir}


INGEST = [
    Step(
        "demo_world",
        "A small synthetic world of music in the real formats: MP3s, playlist slices, listening events.",
        Call(
            "larp_core.demo.world:build_demo_world",
            lambda job: {"config": job.recipe.world, "folder": job.settings.shared.demo_world},
        ),
        outputs=lambda job: [job.settings.shared.demo_world],
        config=recipe("world"),
        shared=True,
        kinds=("mp3", "json", "python"),
        version=2,
    ),
    Step(
        "source",
        "The raw files that this dataset is read from, checked and counted.",
        Call("larp_core.data.source:check_source", lambda job: _source(job) | {"is_demo": job.settings.is_demo}),
        upstream=_source_upstream,
        outputs=lambda job: [job.paths.source],
        external=_raw_files,
        again=HAS_UNREAD_FILES,
        kinds=("file",),
    ),
    Step(
        "playlists",
        "Playlists, tracks and interactions as Parquet, read from the raw files.",
        Call("larp_core.data.tables:build_tables", lambda job: _source(job) | {"config": job.recipe.ingest}),
        upstream=after("source"),
        outputs=lambda job: [job.paths.playlists, job.paths.tracks, job.paths.interactions, job.paths.rejects],
        config=recipe("ingest"),
        external=_raw_files,
        again=HAS_UNREAD_FILES,
        kinds=("parquet", "polars"),
        version=3,
    ),
    Step(
        "cold_start_split",
        "Train, validation and test share no track and no playlist; seeds and targets of each held-out playlist.",
        Call("larp_core.data.split.cold_start:build_split", _split),
        upstream=after("playlists"),
        outputs=lambda job: [job.paths.split_playlists, job.paths.split_tracks, job.paths.holdouts],
        config=recipe("split"),
        external=_paper_lists,
        kinds=("parquet", "polars"),
    ),
    Step(
        "metadata",
        "Names of tracks, artists and albums, and where each came from.",
        Call("larp_core.data.metadata:build_metadata", _metadata),
        upstream=after("playlists", "cold_start_split"),
        outputs=lambda job: [job.paths.metadata],
        config=lambda job: {"spotify": _asks_spotify(job)},
        again=Call(
            "larp_core.data.metadata:has_tracks_to_look_up",
            lambda job: {"metadata": job.paths.metadata, "asks_spotify": _asks_spotify(job)},
        ),
        kinds=("parquet", "polars"),
        version=2,
    ),
    Step(
        "mp3",
        "Audio of every track of the split, and the ledger: one row a track with the outcome and its reason.",
        Call(
            "larp_core.audio.acquire.acquisition:acquire_audio",
            lambda job: {"settings": job.settings, "dataset": job.dataset},
        ),
        upstream=after("cold_start_split", "metadata", "source"),
        outputs=lambda job: [job.paths.ledger],
        config=_audio_sources,
        external=_audio_files,
        again=Call(
            "larp_core.audio.acquire.ledger:has_audio_to_get",
            lambda job: {"path": job.paths.ledger, "data_dir": job.settings.data_dir},
        ),
        kinds=("mp3", "parquet"),
        version=2,
    ),
    Step(
        "clips",
        "Ten seconds of 48 kHz mono FLAC a clip, one or several a track, offsets recorded.",
        Call("larp_core.audio.clips.factory:build_clips", _clips),
        upstream=after("mp3"),
        outputs=lambda job: [job.paths.clips],
        config=recipe("clip"),
        external=_listed_clips,
        again=of_paths("larp_core.audio.clips.factory:has_clips_to_cut"),
        shard=Call("larp_core.audio.clips.factory:build_shard", _clips),
        kinds=("flac", "parquet"),
        version=2,
    ),
    Step(
        "captions",
        "One caption a track from the recipe's template; missing fields leave no holes.",
        of_section("larp_core.captions.template:build_captions", "caption"),
        upstream=lambda settings: ["metadata", *(["clips"] if settings.recipe.caption.needs_clips else [])],
        outputs=lambda job: [job.paths.captions],
        config=recipe("caption"),
        kinds=("parquet", "text"),
        version=2,
    ),
    Step(
        "mels",
        "Log-mel spectrograms [num_clips, 1001, 64] in one float16 array that training maps into memory.",
        of_paths("larp_core.audio.mels.array:build_mels"),
        upstream=after("clips"),
        outputs=lambda job: [job.paths.mels, job.paths.mel_rows],
        kinds=("numpy",),
        version=2,
    ),
    Step(
        "interaction_graph",
        "DuckDB: the bipartite graph R of playlists and tracks, and the view co_occurrence, the track graph O.",
        of_paths("larp_core.data.interaction_graph:build_graph"),
        upstream=after("playlists", "cold_start_split", "clips"),
        outputs=lambda job: [job.paths.graph],
        repeatable=False,
        kinds=("duckdb", "graph"),
    ),
]
