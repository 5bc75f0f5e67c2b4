"""Training one stage from files to a `save_pretrained` folder: what the GPU jobs run.

`train_stage` is the step of the graph; `StageInputs.load` and `run_stage` are the same without one, for experiments.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from transformers import PreTrainedTokenizerBase

from larp_core.config import TrainingConfig
from larp_core.config.encoders import TRAINED
from larp_core.config.paths import DatasetPaths
from larp_core.config.recipes import Recipe
from larp_core.evaluation.holdouts import Holdouts
from larp_core.evaluation.metrics import random_values
from larp_core.evaluation.recommenders.itemknn import evaluate_itemknn
from larp_core.graph import memo
from larp_core.graph.job import Job, Report
from larp_core.model.card import model_card
from larp_core.model.co_playlist import build_co_playlist
from larp_core.model.modeling_larp import LarpModel
from larp_core.model.pretrained import build_model
from larp_core.model.processing_larp import LarpProcessor
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import make_folder, write_json, write_text
from larp_core.training import processes
from larp_core.training.anchors import anchors_of, epochs_of
from larp_core.training.co_playlist import CoPlaylistObjective
from larp_core.training.encode import encode_all, settle_batch_norms, track_vectors
from larp_core.training.faults import NonFiniteError, check_vectors
from larp_core.training.inputs import StageInputs, check_parent, data_fingerprint
from larp_core.training.loop import RunFiles, train
from larp_core.training.objective import PLANS, ClapObjective, LarpObjective, Objective
from larp_core.training.pruning import pruning_by
from larp_core.training.records import TrainingResult
from larp_core.training.sampler import Sampler
from larp_core.training.state import StateFolder
from larp_core.training.synced_norm import sync_batch_norms
from larp_core.training.watch import peak_memory

logger = logging.getLogger(__name__)

VALIDATION_K = 10


def train_stage(job: Job) -> Report:
    """Trains `job.encoder` and writes `models/<encoder>/`.

    Raises:
        UserError: no train track has what the stage contrasts.
    """
    paths, recipe, stage = job.paths, job.recipe, job.encoder
    processes.start(recipe.training.device)
    parent_stage = TRAINED[stage].parent
    parent = paths.model(parent_stage) if parent_stage else None
    if recipe.training.num_threads:
        torch.set_num_threads(recipe.training.num_threads)
    with processes.together():
        if parent_stage:
            check_parent(job, parent_stage)
        inputs = StageInputs.load(paths, recipe, parent)
    fingerprint = memo.fingerprint(job)
    states = StateFolder(paths.training_state(stage), fingerprint, processes.count())
    try:
        model, result = run_stage(stage, inputs, recipe, parent, files=RunFiles(states, paths.tensorboard(stage)))
    except NonFiniteError as error:
        raise UserError(f"{error.why}; tracks: {_with_uris(paths, error.track_ids)}") from None
    if not processes.is_main():
        return Report(num_rows=len(inputs.train.track_ids))
    record = {
        "encoder": stage,
        "dataset": job.dataset,
        "is_demo": job.settings.is_demo,
        "recipe": recipe.name,
        "seed": recipe.training.seed,
        "parent": parent_stage,
        "pretrained": _pretrained(recipe) and not PLANS[stage].hears_only,
        "data_fingerprint": data_fingerprint(job),
        "training_fingerprint": fingerprint,
        "num_processes": processes.count(),
        "best_epoch": result.best_epoch,
        "curve": [entry.without_timing() for entry in result.curve],
        "random_recall_at_10": random_recall(inputs.holdouts),
    }
    save_model(paths.model(stage), model, inputs.tokenizer, record)
    report = _report(job, result, inputs, record)
    states.remove()
    return report


def run_stage(
    stage: str,
    inputs: StageInputs,
    recipe: Recipe,
    parent: Path | LarpModel | None,
    keep: Literal["best", "last"] = "best",
    files: RunFiles | None = None,
) -> tuple[LarpModel, TrainingResult]:
    """Trains `stage` from `parent`'s weights, or from new ones; the returned model holds the weights of the epoch that
    was best on validation, or those of the last one trained. With `files`, a killed run goes on from its last state."""
    training, plan = recipe.training, PLANS[stage]
    if plan.hears_only:
        inputs, training = inputs.heard_only(), replace(training, learning_rate=recipe.co_playlist.learning_rate)
    device = processes.start(training.device).device
    with _deterministic(training.deterministic):
        model: LarpModel = _starting_model(stage, inputs, recipe, parent).to(device)
        if processes.count() > 1:
            sync_batch_norms(model)
        torch.manual_seed(training.seed + processes.rank())
        sampler = _sampler(stage, inputs, training, model)
        objective: Objective
        if plan.hears_only:
            objective = CoPlaylistObjective(model, inputs.graph, recipe.co_playlist.temperature, training)
        elif "clap" in plan.losses:
            objective = ClapObjective(model, recipe.model.temperature, training)
        else:
            objective = LarpObjective(model, plan, inputs.graph, recipe.model, training, sampler.pruning).to(device)
        if training.gradient_checkpointing:
            objective.checkpoint_layers()
        result = train(
            objective,
            inputs.train,
            sampler,
            lambda: validation_recall(model, inputs, training.precision),
            training,
            epochs_of(stage, inputs, recipe),
            files,
        )
    if keep == "best":
        model.load_state_dict(result.best_state)
    return model.eval(), result


def _sampler(stage: str, inputs: StageInputs, training: TrainingConfig, model: LarpModel) -> Sampler:
    """The stage's draws: a step holds `batch_size` pairs of each process. `model` has the stage's starting weights.

    Raises:
        UserError: fewer than two anchors, with nothing to tell apart.
    """
    plan, anchors = PLANS[stage], anchors_of(stage, inputs)
    prunes = plan.pairs and training.pair_pruning and not plan.hears_only
    sampler = Sampler(
        inputs.graph,
        anchors,
        training.batch_size * processes.count(),
        pairs=plan.pairs,
        num_neighbours=training.num_neighbours if "tpc" in plan.losses else 0,
        seed=training.seed,
        pruning=pruning_by(model, inputs.train, inputs.graph, anchors, training) if prunes else None,
    )
    logger.info("%d anchors, %d batches an epoch", len(anchors), sampler.steps_per_epoch)
    wanted = sampler.batch_size * (1 if plan.pairs else 2)
    if sampler.num_anchors < wanted:
        logger.warning("a batch holds all %d anchors, not the %d asked for", len(anchors), wanted)
    return sampler


@contextlib.contextmanager
def _deterministic(wanted: bool) -> Iterator[None]:
    """Only algorithms that repeat to the bit; one that can't raises."""
    before = torch.are_deterministic_algorithms_enabled()
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _with_uris(paths: DatasetPaths, track_ids: np.ndarray) -> str:
    uri_of = dict(pl.read_parquet(paths.tracks, columns=["track_id", "track_uri"]).iter_rows())
    return ", ".join(f"{track_id} ({uri_of.get(track_id, 'no uri')})" for track_id in track_ids.tolist())


def validation_recall(model: LarpModel, inputs: StageInputs, precision: str) -> float:
    """Mean Recall@10 of ItemKNN on the validation playlists; the model is left as it will be saved.

    All processes encode, and the main one's figure is everyone's."""
    if model.config.norm == "batch":
        settle_batch_norms(model, inputs.train, precision)
    vectors = track_vectors(encode_all(model, inputs.valid, precision, shared_out=True))
    check_vectors(vectors, inputs.valid, inputs.train)
    recall = 0.0
    if processes.is_main():
        frame = evaluate_itemknn(inputs.holdouts, inputs.valid.track_ids, vectors, (VALIDATION_K,))
        recall = float(frame.filter(pl.col("metric") == "recall")["value"].mean())  # type: ignore[arg-type]
    return float(processes.told(recall))


def random_recall(holdouts: Holdouts) -> float:
    """Expected Recall@10 of a random order: every candidate of a playlist is as likely to be in the ten."""
    values = random_values(holdouts.num_targets, holdouts.num_candidates, (VALIDATION_K,))
    return float(values["recall"].mean())


def on_best_device(model: LarpModel) -> LarpModel:
    """The model on a GPU where there is one."""
    return model.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))  # type: ignore[arg-type]


def save_model(folder: Path, model: LarpModel, tokenizer: PreTrainedTokenizerBase, record: dict[str, Any]) -> None:
    """Writes the folder beside its place and puts it there whole."""
    make_folder(folder.parent)
    partial, previous = folder.with_name(f".{folder.name}.partial"), folder.with_name(f".{folder.name}.previous")
    for leftover in (partial, previous):
        shutil.rmtree(leftover, ignore_errors=True)
    model.save_pretrained(partial)
    if isinstance(model, LarpModel):
        LarpProcessor.around(tokenizer, model.config.max_tokens).save_pretrained(partial)
    write_json(record, partial / "training.json")
    write_text(model_card(record, model.config), partial / "README.md")
    if folder.exists():
        folder.rename(previous)
    partial.rename(folder)
    shutil.rmtree(previous, ignore_errors=True)


def _starting_model(stage: str, inputs: StageInputs, recipe: Recipe, parent: Path | LarpModel | None) -> Any:
    if PLANS[stage].hears_only:
        return build_co_playlist(recipe.co_playlist, recipe.training.seed)
    if isinstance(parent, LarpModel):
        model = LarpModel(parent.config)
        model.load_state_dict(parent.state_dict())
        return model
    if parent is not None:
        return LarpModel.from_pretrained(parent)
    model = build_model(recipe.model, len(inputs.tokenizer), recipe.training.seed)
    if model.lexical is not None:
        model.lexical.weigh(inputs.train.input_ids, inputs.train.attention_mask)
    return model


def _pretrained(recipe: Recipe) -> bool:
    return bool(recipe.model.audio.pretrained or recipe.model.text.pretrained)


def _report(job: Job, result: TrainingResult, inputs: StageInputs, record: dict[str, Any]) -> Report:
    from larp_core.training.curves import draw_curves

    best = result.curve[result.best_epoch]
    return Report(
        num_rows=len(inputs.train.track_ids),
        facts={
            "best_epoch": result.best_epoch,
            "epochs_trained": len(result.curve) - 1,
            "valid_recall_at_10": best.valid_recall_at_10,
            "valid_recall_at_10_before": result.curve[0].valid_recall_at_10,
            "random_recall_at_10": record["random_recall_at_10"],
            "tracks_per_second": best.tracks_per_second,
            "num_processes": processes.count(),
            **peak_memory(),
            "num_train_tracks_with_audio": int((inputs.train.mel_rows >= 0).sum()),
            "data_fingerprint": record["data_fingerprint"],
        },
        tables={"epochs": [_row(asdict(entry)) for entry in result.curve]},
        pictures={"curve": str(draw_curves(job.paths.pictures / f"{job.encoder}.png", job.encoder, record))},
    )


def _row(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "losses"} | entry["losses"]
