"""Training one stage from files to a `save_pretrained` folder: what the GPU jobs run.

`train_stage` reads and writes files; `run_stage` is the same on what was read, for experiments.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from transformers import PreTrainedTokenizerBase

from larp_core.config.paths import DatasetPaths
from larp_core.config.recipes import Recipe
from larp_core.config.stages import Stage
from larp_core.evaluation.holdouts import Holdouts
from larp_core.evaluation.metrics import random_values
from larp_core.evaluation.recommenders.itemknn import evaluate_itemknn
from larp_core.model.card import model_card
from larp_core.model.modeling_larp import LarpModel
from larp_core.model.processing_larp import LarpProcessor
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import hash_file, hash_of, make_folder, write_json, write_text
from larp_core.runtime.report import Report
from larp_core.training import distributed
from larp_core.training.encode import TrackEncoder, encode_all, settle_batch_norms, track_vectors
from larp_core.training.faults import NonFiniteError, check_vectors
from larp_core.training.inputs import StageInputs, check_parent
from larp_core.training.loop import RunFiles, train
from larp_core.training.plans import Model, StagePlan, plan_of
from larp_core.training.provenance import Provenance
from larp_core.training.records import TrainingResult
from larp_core.training.sampler import Sampler
from larp_core.training.state import StateFolder
from larp_core.training.synced_norm import sync_batch_norms
from larp_core.training.watch import peak_memory

logger = logging.getLogger(__name__)

VALIDATION_K = 10


def train_stage(stage: Stage, paths: DatasetPaths, recipe: Recipe, provenance: Provenance | None = None) -> Report:
    """Trains a stage on the dataset's files and writes `models/<stage>/`.

    Args:
        provenance: what the weights are made from, as `training.json` will tell; without one nothing is known of the
            parent's weights, and they are taken as they are.

    Raises:
        UserError: no train track has what the stage contrasts; the parent's weights aren't there, or are others.
    """
    provenance = provenance or by_hand(stage, paths, recipe)
    distributed.start(recipe.training.device)
    parent = paths.model(stage.parent) if stage.parent else None
    if recipe.training.num_threads:
        torch.set_num_threads(recipe.training.num_threads)
    with distributed.together():
        if parent and stage.parent and provenance.parent:
            check_parent(parent, stage.parent, provenance.parent)
        inputs = StageInputs.load(paths, recipe, parent)
    states = StateFolder(paths.training_state(stage.name), provenance.fingerprint, distributed.world_size())
    files = RunFiles(states, paths.tensorboard(stage.name))
    try:
        model, result = run_stage(stage, inputs, recipe, parent, files=files)
    except NonFiniteError as error:
        raise UserError(f"{error.why}; tracks: {_with_uris(paths, error.track_ids)}") from None
    if not distributed.is_main():
        return Report(num_rows=len(inputs.train.track_ids))
    record = {
        "encoder": stage.name,
        "dataset": paths.dataset,
        "is_demo": provenance.is_demo,
        "recipe": recipe.name,
        "seed": recipe.training.seed,
        "parent": stage.parent,
        "pretrained": plan_of(stage, recipe).is_pretrained,
        "data_fingerprint": provenance.data_fingerprint,
        "training_fingerprint": provenance.fingerprint,
        "num_processes": distributed.world_size(),
        "best_epoch": result.best_epoch,
        "curve": [entry.without_timing() for entry in result.curve],
        "random_recall_at_10": random_recall(inputs.holdouts),
    }
    save_model(paths.model(stage.name), model, inputs.tokenizer, record)
    report = _report(stage, paths, result, inputs, record)
    states.remove()
    return report


def by_hand(stage: Stage, paths: DatasetPaths, recipe: Recipe) -> Provenance:
    """The provenance of a training outside the graph: nothing vouches for the parent's weights."""
    tables = [paths.captions, paths.mels, paths.mel_rows, paths.split_tracks, paths.holdouts, paths.graph]
    of_data = hash_of([hash_file(path) for path in [*tables, *([paths.model(stage.parent)] if stage.parent else [])]])
    fingerprint = hash_of([stage.name, of_data, asdict(recipe)])
    asset = f"{paths.dataset}/{stage.name}"
    return Provenance(fingerprint, of_data, recipe.name, recipe.training.seed, asset)


def run_stage(
    stage: Stage,
    inputs: StageInputs,
    recipe: Recipe,
    parent: Path | TrackEncoder | None,
    keep: Literal["best", "last"] = "best",
    files: RunFiles | None = None,
) -> tuple[Any, TrainingResult]:
    """Trains `stage` from `parent`'s weights, or from new ones; the returned model holds the weights of the epoch that
    was best on validation, or those of the last one trained. With `files`, a killed run goes on from its last state."""
    plan = plan_of(stage, recipe)
    training, inputs = plan.training, plan.inputs(inputs)
    device = distributed.start(training.device).device
    with _deterministic(training.deterministic):
        model = plan.starting_model(inputs, parent).to(device)
        if distributed.world_size() > 1:
            sync_batch_norms(model)
        torch.manual_seed(training.seed + distributed.rank())
        sampler = _sampler(plan, inputs, model)
        objective = plan.objective(model, inputs, sampler.pruning).to(device)
        if training.gradient_checkpointing:
            objective.checkpoint_layers()
        result = train(
            objective,
            inputs.train,
            sampler,
            lambda: validation_recall(model, inputs, training.precision),
            training,
            plan.epochs(inputs),
            files,
        )
    if keep == "best":
        model.load_state_dict(result.best_state)
    return model.eval(), result


def _sampler(plan: StagePlan, inputs: StageInputs, model: TrackEncoder) -> Sampler:
    """The stage's draws: a step holds `batch_size` pairs of each process. `model` has the stage's starting weights.

    Raises:
        UserError: fewer than two anchors, with nothing to tell apart.
    """
    stage, training, anchors = plan.stage, plan.training, plan.anchors(inputs)
    sampler = Sampler(
        inputs.graph,
        anchors,
        training.batch_size * distributed.world_size(),
        pairs=stage.pairs,
        num_neighbours=training.num_neighbours if "tpc" in stage.losses else 0,
        seed=training.seed,
        pruning=plan.pruning(model, inputs, anchors),
    )
    logger.info("%d anchors, %d batches an epoch", len(anchors), sampler.steps_per_epoch)
    wanted = sampler.batch_size * (1 if stage.pairs else 2)
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


def validation_recall(model: TrackEncoder, inputs: StageInputs, precision: str) -> float:
    """Mean Recall@10 of ItemKNN on the validation playlists; the model is left as it will be saved.

    All processes encode, and the main one's figure is everyone's."""
    if model.config.norm == "batch":
        settle_batch_norms(model, inputs.train, precision)
    vectors = track_vectors(encode_all(model, inputs.valid, precision, shared_out=True))
    check_vectors(vectors, inputs.valid, inputs.train)
    recall = 0.0
    if distributed.is_main():
        frame = evaluate_itemknn(inputs.holdouts, inputs.valid.track_ids, vectors, (VALIDATION_K,))
        recall = float(frame.filter(pl.col("metric") == "recall")["value"].mean())  # type: ignore[arg-type]
    return float(distributed.broadcast(recall))


def random_recall(holdouts: Holdouts) -> float:
    """Expected Recall@10 of a random order: every candidate of a playlist is as likely to be in the ten."""
    values = random_values(holdouts.num_targets, holdouts.num_candidates, (VALIDATION_K,))
    return float(values["recall"].mean())


def on_best_device(model: Model) -> Model:
    """The model on a GPU where there is one."""
    return model.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))  # type: ignore[arg-type]


def save_model(folder: Path, model: TrackEncoder, tokenizer: PreTrainedTokenizerBase, record: dict[str, Any]) -> None:
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


def _report(
    stage: Stage, paths: DatasetPaths, result: TrainingResult, inputs: StageInputs, record: dict[str, Any]
) -> Report:
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
            "num_processes": distributed.world_size(),
            **peak_memory(),
            "num_train_tracks_with_audio": int((inputs.train.mel_rows >= 0).sum()),
            "data_fingerprint": record["data_fingerprint"],
        },
        tables={"epochs": [_row(asdict(entry)) for entry in result.curve]},
        pictures={"curve": str(draw_curves(paths.pictures / f"{stage.name}.png", stage.name, record))},
    )


def _row(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "losses"} | entry["losses"]
