"""Training one stage from files to a `save_pretrained` folder: what the GPU jobs run.

`train_stage` is the step of the graph; `StageInputs` and `run_stage` are the same without a graph, for experiments.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from larp_core import memo
from larp_core.audio.mels import load_mels
from larp_core.benchmark.holdouts import Holdouts, load_holdouts
from larp_core.benchmark.itemknn import evaluate_itemknn
from larp_core.benchmark.metrics import random_values
from larp_core.data.csr import TrainGraph, load_train_graph
from larp_core.errors import UserError
from larp_core.files import hash_of, make_folder, write_json, write_text
from larp_core.graph_of_steps import TRAINED
from larp_core.model.card import model_card
from larp_core.model.modeling_larp import LarpModel
from larp_core.model.pretrained import build_model
from larp_core.model.processing_larp import LarpProcessor
from larp_core.model.vocabulary import make_tokenizer
from larp_core.paths import DatasetPaths
from larp_core.recipes import Recipe
from larp_core.steps import Job, Report
from larp_core.training.encode import encode_all, settle_batch_norms, track_vectors
from larp_core.training.loop import TrainingResult, train
from larp_core.training.objective import PLANS, ClapObjective, LarpObjective, Objective
from larp_core.training.sampler import Sampler
from larp_core.training.track_data import TrackData, load_captions, load_track_data

logger = logging.getLogger(__name__)

VALIDATION_K = 10


@dataclass(frozen=True)
class StageInputs:
    """All that a stage reads: train and validation tracks, the train graph, validation playlists."""

    tokenizer: PreTrainedTokenizerBase
    train: TrackData
    valid: TrackData
    graph: TrainGraph
    holdouts: Holdouts

    @classmethod
    def load(cls, paths: DatasetPaths, recipe: Recipe, parent: Path | None) -> StageInputs:
        """Reads the dataset's files; the vocabulary is the parent stage's, or made by the recipe."""
        tokenizer = (
            AutoTokenizer.from_pretrained(parent)
            if parent
            else make_tokenizer(recipe.model.text, _train_captions(paths))
        )
        graph, holdouts, mels = load_train_graph(paths.graph), load_holdouts(paths, "valid"), load_mels(paths)
        max_tokens = recipe.model.text.max_tokens
        return cls(
            tokenizer=tokenizer,
            train=load_track_data(paths, graph.track_ids, tokenizer, max_tokens, mels),
            valid=load_track_data(paths, np.sort(holdouts.candidates), tokenizer, max_tokens, mels),
            graph=graph,
            holdouts=holdouts,
        )


def train_stage(job: Job) -> Report:
    """Trains `job.encoder` and writes `models/<encoder>/`.

    Raises:
        UserError: no train track has what the stage contrasts.
    """
    paths, recipe, stage = job.paths, job.recipe, job.encoder
    parent_stage = TRAINED[stage][1]
    parent = paths.model(parent_stage) if parent_stage else None
    if recipe.training.num_threads:
        torch.set_num_threads(recipe.training.num_threads)
    inputs = StageInputs.load(paths, recipe, parent)
    model, result = run_stage(stage, inputs, recipe, parent)
    record = {
        "encoder": stage,
        "dataset": job.dataset,
        "is_demo": job.settings.is_demo,
        "recipe": recipe.name,
        "seed": recipe.training.seed,
        "parent": parent_stage,
        "pretrained": _pretrained(recipe),
        "data_fingerprint": hash_of(memo.upstream_digests(job)),
        "best_epoch": result.best_epoch,
        "curve": [entry.without_timing() for entry in result.curve],
        "random_recall_at_10": random_recall(inputs.holdouts),
    }
    save_model(paths.model(stage), model, inputs.tokenizer, record)
    return _report(job, result, inputs, record)


def run_stage(
    stage: str,
    inputs: StageInputs,
    recipe: Recipe,
    parent: Path | LarpModel | None,
    keep: Literal["best", "last"] = "best",
) -> tuple[LarpModel, TrainingResult]:
    """Trains `stage` from `parent`'s weights, or from new ones; the returned model holds the weights of the epoch that
    was best on validation, or those of the last one trained."""
    training, plan = recipe.training, PLANS[stage]
    model = on_best_device(_starting_model(inputs, recipe, parent))
    torch.manual_seed(training.seed)
    anchors = _anchors(stage, inputs)
    sampler = Sampler(
        inputs.graph,
        anchors,
        training.batch_size,
        pairs=plan.pairs,
        num_neighbours=training.num_neighbours if "tpc" in plan.losses else 0,
        seed=training.seed,
    )
    objective: Objective
    if "clap" in plan.losses:
        objective = ClapObjective(model, recipe.model.temperature, training)
    else:
        objective = LarpObjective(model, plan, inputs.graph, recipe.model, training).to(model.device)
    logger.info("%s: %d anchors, %d steps an epoch, on %s", stage, len(anchors), sampler.steps_per_epoch, model.device)
    result = train(
        objective,
        inputs.train,
        sampler,
        lambda: validation_recall(model, inputs, training.precision),
        training,
        _epochs(stage, inputs, recipe),
    )
    if keep == "best":
        model.load_state_dict(result.best_state)
    return model.eval(), result


def validation_recall(model: LarpModel, inputs: StageInputs, precision: str) -> float:
    """Mean Recall@10 of ItemKNN on the validation playlists; the model is left as it will be saved."""
    if model.config.norm == "batch":
        settle_batch_norms(model, inputs.train, precision)
    vectors = track_vectors(encode_all(model, inputs.valid, precision))
    frame = evaluate_itemknn(inputs.holdouts, inputs.valid.track_ids, vectors, (VALIDATION_K,))
    return float(frame.filter(pl.col("metric") == "recall")["value"].mean())  # type: ignore[arg-type]


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
    LarpProcessor.around(tokenizer, model.config.max_tokens).save_pretrained(partial)
    write_json(record, partial / "training.json")
    write_text(model_card(record, model.config), partial / "README.md")
    if folder.exists():
        folder.rename(previous)
    partial.rename(folder)
    shutil.rmtree(previous, ignore_errors=True)


def _starting_model(inputs: StageInputs, recipe: Recipe, parent: Path | LarpModel | None) -> LarpModel:
    if isinstance(parent, LarpModel):
        model = LarpModel(parent.config)
        model.load_state_dict(parent.state_dict())
        return model
    if parent is not None:
        return LarpModel.from_pretrained(parent)
    return build_model(recipe.model, len(inputs.tokenizer), recipe.training.seed)


def _anchors(stage: str, inputs: StageInputs) -> np.ndarray:
    """Train tracks that the stage can contrast: both modalities for a stage without pairs, any one otherwise.

    Where no track at all has both, a stage without pairs hands its weights on: see `_epochs`.
    """
    has_audio, has_text = inputs.train.mel_rows >= 0, inputs.train.has_text.numpy()
    usable = has_audio | has_text
    if PLANS[stage].pairs:
        usable = usable & (inputs.graph.num_pairable > 0)
    elif (has_audio & has_text).any():
        usable = has_audio & has_text
    anchors = np.flatnonzero(usable)
    if len(anchors) == 0:
        needed = "a playlist to share and a clip or a caption" if PLANS[stage].pairs else "a clip or a caption"
        raise UserError(
            f"{stage}: none of the {len(usable)} train tracks has {needed}; see the mp3 ledger for the reasons"
        )
    return anchors


def _epochs(stage: str, inputs: StageInputs, recipe: Recipe) -> int:
    """The recipe's epochs; none for a stage within tracks in a world where no track has both a clip and a caption."""
    both = (inputs.train.mel_rows >= 0) & inputs.train.has_text.numpy()
    if PLANS[stage].pairs or both.any():
        return recipe.training.epochs_of(stage)
    logger.warning("%s: no train track has both a clip and a caption; the weights are handed on as they are", stage)
    return 0


def _train_captions(paths: DatasetPaths) -> list[str]:
    return load_captions(paths, "train")["caption"].to_list()


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
            "num_train_tracks_with_audio": int((inputs.train.mel_rows >= 0).sum()),
            "data_fingerprint": record["data_fingerprint"],
        },
        tables={"epochs": [_row(asdict(entry)) for entry in result.curve]},
        pictures={"curve": str(draw_curves(job.paths.pictures / f"{job.encoder}.png", job.encoder, record))},
    )


def _row(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "losses"} | entry["losses"]
