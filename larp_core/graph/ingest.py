"""Steps from raw files to what a model reads: tables, split, names, audio, clips, mels, graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from larp_core.config.settings import DATASETS_WITH_AUDIO, Settings
from larp_core.graph.job import Job, Step
from larp_core.graph.words import after, existing, recipe


def _paper_lists(job: Job) -> list[Path]:
    reads_them = job.recipe.split.policy_for(job.dataset) == "paper_lists"
    return existing(job.settings.paper_lists_dir) if reads_them else []


def _listed_clips(job: Job) -> list[Path]:
    return existing(job.settings.paper_lists_dir) if job.recipe.clip.offsets == "paper_lists" else []


def _source_upstream(settings: Settings) -> list[str]:
    return ["demo_world"] if settings.is_demo else []


def _audio_sources(job: Job) -> dict[str, Any]:
    """Where audio may come from and what passes for the right one; not how fast it is got."""
    named = [] if job.dataset in DATASETS_WITH_AUDIO else list(job.settings.audio_sources_in_order)
    tolerance = {"tolerance": job.recipe.acquire.duration_tolerance_seconds} if "youtube" in named else {}
    return {"sources": named, "retry": job.settings.audio_retry, **tolerance}


def _audio_files(job: Job) -> list[Path]:
    if job.dataset in DATASETS_WITH_AUDIO:
        return existing(job.settings.audio_dir_of(job.dataset))
    named = job.settings.audio_sources_in_order
    files = {"folder": job.settings.audio_dir, "urls": job.settings.audio_urls}
    return [path for source, path in files.items() if source in named and path]


def _has_tracks_to_look_up(job: Job) -> bool:
    from larp_core.data.metadata import has_tracks_to_look_up

    return has_tracks_to_look_up(job)


def _has_audio_to_get(job: Job) -> bool:
    from larp_core.audio.acquire.ledger import has_audio_to_get

    return has_audio_to_get(job.paths.ledger, job.settings.data_dir)


def _has_unread_files(job: Job) -> bool:
    from larp_core.data.readers.rejects import has_unread_files

    return has_unread_files(job.paths.rejects)


def _has_clips_to_cut(job: Job) -> bool:
    from larp_core.audio.clips.factory import has_clips_to_cut

    return has_clips_to_cut(job.paths)


INGEST = [
    Step(
        "demo_world",
        "A small synthetic world of music in the real formats: MP3s, playlist slices, listening events.",
        "larp_core.demo.world:build_demo_world",
        outputs=lambda job: [job.settings.shared.demo_world],
        config=recipe("world"),
        shared=True,
        version=2,
    ),
    Step(
        "source",
        "The raw files that this dataset is read from, checked and counted.",
        "larp_core.data.source:check_source",
        upstream=_source_upstream,
        outputs=lambda job: [job.paths.source],
        external=lambda job: existing(job.settings.source_dir(job.dataset)),
        again=_has_unread_files,
    ),
    Step(
        "playlists",
        "Playlists, tracks and interactions as Parquet, read from the raw files.",
        "larp_core.data.tables:build_tables",
        upstream=after("source"),
        outputs=lambda job: [job.paths.playlists, job.paths.tracks, job.paths.interactions, job.paths.rejects],
        config=recipe("ingest"),
        external=lambda job: existing(job.settings.source_dir(job.dataset)),
        again=_has_unread_files,
        version=3,
    ),
    Step(
        "cold_start_split",
        "Train, validation and test share no track and no playlist; seeds and targets of each held-out playlist.",
        "larp_core.data.split.cold_start:build_split",
        upstream=after("playlists"),
        outputs=lambda job: [job.paths.split_playlists, job.paths.split_tracks, job.paths.holdouts],
        config=recipe("split"),
        external=_paper_lists,
    ),
    Step(
        "metadata",
        "Names of tracks, artists and albums, and where each came from.",
        "larp_core.data.metadata:build_metadata",
        upstream=after("playlists", "cold_start_split"),
        outputs=lambda job: [job.paths.metadata],
        config=lambda job: {"spotify": job.settings.spotify and not job.settings.is_demo},
        again=_has_tracks_to_look_up,
        version=2,
    ),
    Step(
        "mp3",
        "Audio of every track of the split, and the ledger: one row a track with the outcome and its reason.",
        "larp_core.audio.acquire.acquisition:acquire_audio",
        upstream=after("cold_start_split", "metadata", "source"),
        outputs=lambda job: [job.paths.ledger],
        config=_audio_sources,
        external=_audio_files,
        again=_has_audio_to_get,
        version=2,
    ),
    Step(
        "clips",
        "Ten seconds of 48 kHz mono FLAC a clip, one or several a track, offsets recorded.",
        "larp_core.audio.clips.factory:build_clips",
        upstream=after("mp3"),
        outputs=lambda job: [job.paths.clips],
        config=recipe("clip"),
        external=_listed_clips,
        again=_has_clips_to_cut,
        shard="larp_core.audio.clips.factory:build_shard",
        version=2,
    ),
    Step(
        "captions",
        "One caption a track from the recipe's template; missing fields leave no holes.",
        "larp_core.data.captions:build_captions",
        upstream=lambda settings: ["metadata", *(["clips"] if settings.recipe.caption.needs_clips else [])],
        outputs=lambda job: [job.paths.captions],
        config=recipe("caption"),
        version=2,
    ),
    Step(
        "mels",
        "Log-mel spectrograms [num_clips, 1001, 64] in one float16 array that training maps into memory.",
        "larp_core.audio.mels.array:build_mels",
        upstream=after("clips"),
        outputs=lambda job: [job.paths.mels, job.paths.mel_rows],
        version=2,
    ),
    Step(
        "interaction_graph",
        "DuckDB: the bipartite graph R of playlists and tracks, and the view co_occurrence, the track graph O.",
        "larp_core.data.interaction_graph:build_graph",
        upstream=after("playlists", "cold_start_split", "clips"),
        outputs=lambda job: [job.paths.graph],
        repeatable=False,
    ),
]
