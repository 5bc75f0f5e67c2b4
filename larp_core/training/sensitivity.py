"""Stage 3 trained again with other numbers of tracks that stand for a playlist (LARP section 4.4.2, figure 4).

Only the scores are kept. Nothing is chosen by them: the tables' model has the recipe's own number.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import polars as pl
import torch

from larp_core.audio.mels.array import load_mels
from larp_core.config.encoders import SENSITIVE_ENCODER
from larp_core.config.paths import DatasetPaths
from larp_core.config.recipes import Recipe
from larp_core.config.stages import STAGES
from larp_core.evaluation.holdouts import load_holdouts
from larp_core.evaluation.recommenders.itemknn import evaluate_itemknn
from larp_core.model.modeling_larp import LarpModel
from larp_core.runtime.files import write_parquet
from larp_core.runtime.report import Report
from larp_core.training import distributed
from larp_core.training.encode import encode_all, track_vectors
from larp_core.training.inputs import StageInputs, check_parent
from larp_core.training.loop import RunFiles
from larp_core.training.provenance import Provenance
from larp_core.training.stages import run_stage
from larp_core.training.state import StateFolder
from larp_core.training.track_data import load_track_data

SPLITS: tuple[Literal["valid", "test"], ...] = ("valid", "test")


def train_with_neighbours(num_neighbours: int, paths: DatasetPaths, recipe: Recipe, provenance: Provenance) -> Report:
    """Writes `sensitivity/j_<J>.parquet`: `split, playlist_id, metric, k, value` of ItemKNN on the trained vectors.

    Raises:
        UserError: no train track has what the stage contrasts, or a split has no playlist with a target.
    """
    stage, name = STAGES[SENSITIVE_ENCODER], f"j_{num_neighbours}"
    recipe = replace(recipe, training=replace(recipe.training, num_neighbours=num_neighbours))
    distributed.start(recipe.training.device)
    if recipe.training.num_threads:
        torch.set_num_threads(recipe.training.num_threads)
    assert stage.parent is not None
    parent = paths.model(stage.parent)
    with distributed.together():
        if provenance.parent:
            check_parent(parent, stage.parent, provenance.parent)
        inputs = StageInputs.load(paths, recipe, parent)
    run_name = f"{stage.name}_{name}"
    states = StateFolder(paths.training_state(run_name), provenance.fingerprint, distributed.world_size())
    model, result = run_stage(stage, inputs, recipe, parent, files=RunFiles(states, paths.tensorboard(run_name)))
    if not distributed.is_main():
        return Report(0)
    frame = pl.concat(_scores(model, paths, recipe, inputs, split) for split in SPLITS)
    write_parquet(frame, paths.sensitivity(name))
    states.remove()
    means = frame.filter(metric="recall", k=min(recipe.evaluation.ks)).group_by("split").agg(pl.mean("value"))
    facts = {f"{split}_recall_at_{min(recipe.evaluation.ks)}": mean for split, mean in means.sort("split").iter_rows()}
    return Report(frame.height, {"num_neighbours": num_neighbours, "best_epoch": result.best_epoch, **facts})


def _scores(
    model: LarpModel, paths: DatasetPaths, recipe: Recipe, inputs: StageInputs, split: Literal["valid", "test"]
) -> pl.DataFrame:
    holdouts = load_holdouts(paths, split)
    data = load_track_data(paths, holdouts.candidates, inputs.tokenizer, model.config.max_tokens, load_mels(paths))
    features = encode_all(model, data, recipe.training.precision)
    seen = (features.has_audio | features.has_text).cpu().numpy()
    vectors = track_vectors(features)
    frame = evaluate_itemknn(holdouts, holdouts.candidates[seen], vectors[seen], recipe.evaluation.ks)
    return frame.select(pl.lit(split).alias("split"), pl.all())
