"""Steps that train encoders, and that give every track its vector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from larp_core.config.encoders import (
    CATALOGUE,
    NEIGHBOUR_COUNTS,
    SENSITIVE_ENCODER,
    TRANSFER_ENCODER,
    TRANSFER_FROM,
    TRANSFER_TO,
    Encoder,
    fuses_playlists,
    has_transfer,
)
from larp_core.config.stages import STAGES, Stage
from larp_core.graph import memo
from larp_core.graph.job import Call, Job, Step
from larp_core.graph.words import after, recipe
from larp_core.runtime.files import hash_of
from larp_core.training.provenance import Provenance

DATA = ("captions", "mels", "cold_start_split", "interaction_graph")
"""What a stage reads beside its parent's weights."""

NOT_OF_THE_WEIGHTS = ("device", "save_every_steps", "save_every_minutes")


def _training(job: Job, stage: Stage) -> dict[str, Any]:
    """All of the training section that the weights depend on: no other stage's epochs, so that changing one stage
    retrains from that one on, and not how often it is saved."""
    training = asdict(job.recipe.training) | {"epochs": job.recipe.training.epochs_of(stage.name)}
    return {name: value for name, value in training.items() if name not in NOT_OF_THE_WEIGHTS}


def provenance_of(job: Job, parent: str | None = None) -> Provenance:
    """What a training's weights are made from, and what those of its `parent` should have been made from.

    Raises:
        UserError: an upstream step has not been run.
    """
    expected = next((up for up in job.upstream() if parent and up.step.name == parent), None)
    return Provenance(
        fingerprint=memo.fingerprint(job),
        data_fingerprint=hash_of(memo.upstream_digests(job)),
        recipe_name=job.recipe.name,
        seed=job.recipe.training.seed,
        asset=job.name,
        is_demo=job.settings.is_demo,
        parent=provenance_of(expected) if expected else None,
    )


def _trained(stage: Stage) -> Step:
    def arguments(job: Job) -> dict[str, Any]:
        return {
            "stage": stage,
            "paths": job.paths,
            "recipe": job.recipe,
            "provenance": provenance_of(job, stage.parent),
        }

    def config(job: Job) -> dict[str, Any]:
        sections = {name: asdict(getattr(job.recipe, name)) for name in stage.sections}
        return sections | {"training": _training(job, stage)}

    return Step(
        stage.name,
        stage.summary,
        Call("larp_core.training.stages:train_stage", arguments),
        upstream=after(*DATA, *([stage.parent] if stage.parent else [])),
        outputs=lambda job: [job.paths.model(stage.name)],
        config=config,
        torch=True,
        together=True,
        kinds=("pytorch", "huggingface"),
    )


def _sensitivity(count: int) -> Step:
    """Stage 3 once more with another number of tracks for a playlist; not a part of `train_all`."""
    stage = STAGES[SENSITIVE_ENCODER]
    assert stage.parent is not None

    def arguments(job: Job) -> dict[str, Any]:
        provenance = provenance_of(job, stage.parent)
        return {"num_neighbours": count, "paths": job.paths, "recipe": job.recipe, "provenance": provenance}

    def config(job: Job) -> dict[str, Any]:
        training = _training(job, stage)
        del training["num_neighbours"]
        return {"model": asdict(job.recipe.model), "training": training, "evaluation": asdict(job.recipe.evaluation)}

    return Step(
        f"sensitivity/j_{count}",
        f"Stage 3 with fusion trained with {count} tracks for a playlist, and what that gives.",
        Call("larp_core.training.sensitivity:train_with_neighbours", arguments),
        upstream=after("captions", "mels", "cold_start_split", "interaction_graph", stage.parent),
        outputs=lambda job: [job.paths.sensitivity(f"j_{count}")],
        config=config,
        torch=True,
        kinds=("pytorch", "parquet"),
    )


def _embedded(job: Job) -> list[Path]:
    fuses = fuses_playlists(job.encoder, job.recipe.evaluation)
    playlists = [job.paths.playlist_embeddings(job.encoder)] if fuses else []
    return [job.paths.embeddings(job.encoder), *playlists]


def _named_by_the_user(job: Job, encoder: Encoder) -> dict[str, str]:
    """The user's settings that bring an encoder's vectors: where its weights are, the command that makes them."""
    return {name: getattr(job.settings, name) for name in (encoder.weights, encoder.command) if name}


def _weights_config(encoder: Encoder) -> Callable[[Job], dict[str, Any]]:
    """What decides an encoder's vectors beside its upstream: the recipe's towers, or where the user's weights are."""

    def config(job: Job) -> dict[str, Any]:
        if encoder.stage:
            return {"playlist_vector": "fusion"} if fuses_playlists(encoder.name, job.recipe.evaluation) else {}
        named = _named_by_the_user(job, encoder)
        return named | recipe("encoders")(job) if named else recipe("model", "training")(job)

    return config


def _weights_files(encoder: Encoder) -> Callable[[Job], list[Path]]:
    def files(job: Job) -> list[Path]:
        named = getattr(job.settings, encoder.weights) if encoder.weights else ""
        return [Path(named)] if named and Path(named).exists() else []

    return files


def _embeddings(encoder: Encoder) -> Step:
    def arguments(job: Job) -> dict[str, Any]:
        return {
            "encoder": encoder,
            "paths": job.paths,
            "recipe": job.recipe,
            "weights": getattr(job.settings, encoder.weights) if encoder.weights else "",
            "command": getattr(job.settings, encoder.command) if encoder.command else "",
        }

    def may_be_found_now(job: Job) -> dict[str, Any]:
        of_the_recipe = bool(encoder.weights and getattr(job.recipe.encoders, encoder.weights, None))
        is_named = any(_named_by_the_user(job, encoder).values()) or of_the_recipe
        return {"path": job.paths.embeddings(encoder.name), "is_named": is_named}

    return Step(
        f"embeddings/{encoder.name}",
        f"One vector a track from {encoder.title}, for every track of the split.",
        Call("larp_core.encoders.embed:embed_tracks", arguments),
        upstream=after("captions", "mels", "cold_start_split", *([encoder.name] if encoder.stage else [])),
        outputs=_embedded,
        config=_weights_config(encoder),
        external=_weights_files(encoder),
        again=Call("larp_core.encoders.embed:has_missing_weights", may_be_found_now),
        torch=encoder.torch,
        kinds=("parquet", "pytorch" if encoder.torch else "numpy"),
        version=1 + encoder.version,
    )


def _transferred(job: Job) -> list[Path]:
    paths = job.settings.paths(TRANSFER_TO)
    return [paths.transferred_embeddings(TRANSFER_ENCODER, TRANSFER_FROM)] if has_transfer(job.settings) else []


TRAINING = [_trained(stage) for stage in STAGES.values()]

EMBEDDINGS = [_embeddings(encoder) for encoder in CATALOGUE.values()]

TRANSFER = Step(
    "transfer",
    "LFM-2b's tracks as the model trained on MPD sees them.",
    Call("larp_core.encoders.transfer:embed_transferred", lambda job: {"settings": job.settings}),
    upstream=after("captions", "mels", "cold_start_split", TRANSFER_ENCODER),
    outputs=_transferred,
    torch=True,
    shared=True,
    kinds=("parquet", "pytorch"),
)

SENSITIVITY = [_sensitivity(count) for count in NEIGHBOUR_COUNTS]
