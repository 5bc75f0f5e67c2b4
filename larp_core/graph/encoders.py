"""Steps that train encoders, and that give every track its vector."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from larp_core.config.encoders import CATALOGUE, TRAINED, Encoder
from larp_core.graph.job import Job, Step
from larp_core.graph.words import after, recipe

FUSED = ("larp_tpc_fusion",)
"""Encoders that have learned how a playlist's tracks become one vector."""

SENSITIVE_ENCODER = "larp_tpc_fusion"
NEIGHBOUR_COUNTS = (1, 5, 10, 30)
"""Figure 4: the |J| that the encoder is trained with."""


def fuses_playlists(job: Job) -> bool:
    """Whether this job's encoder is asked for vectors of playlists, beside those of tracks."""
    return job.encoder in FUSED and job.recipe.evaluation.playlist_vector == "fusion"


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
        upstream=after(*data, *([parent] if parent else [])),
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
        upstream=after("captions", "mels", "cold_start_split", "interaction_graph", parent),
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
        return named | recipe("encoders")(job) if named else recipe("model", "training")(job)

    return config


def _weights_files(encoder: Encoder) -> Any:
    def files(job: Job) -> list[Path]:
        named = getattr(job.settings, encoder.weights) if encoder.weights else ""
        return [Path(named)] if named and Path(named).exists() else []

    return files


def _embeddings(encoder: Encoder) -> Step:
    model = [encoder.name] if encoder.training else []
    return Step(
        f"embeddings/{encoder.name}",
        f"One vector a track from {encoder.title}, for every track of the split.",
        "larp_core.encoders.embed:embed_tracks",
        upstream=after("captions", "mels", "cold_start_split", *model),
        outputs=_embedded,
        config=_weights_config(encoder),
        external=_weights_files(encoder),
        again=_has_missing_weights,
        torch=encoder.torch,
        version=1 + encoder.version,
    )


TRAINING = [_trained(CATALOGUE[name]) for name in TRAINED]

EMBEDDINGS = [_embeddings(encoder) for encoder in CATALOGUE.values()]

SENSITIVITY = [_sensitivity(count) for count in NEIGHBOUR_COUNTS]
