"""Stage 3 trained again with other numbers of tracks that stand for a playlist (LARP section 4.4.2, figure 4).

Only the scores are kept. Nothing is chosen by them: the tables' model has the recipe's own number.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import torch

from larp_core.audio.mels.array import load_mels
from larp_core.config.encoders import TRAINED
from larp_core.evaluation.holdouts import load_holdouts
from larp_core.evaluation.recommenders.itemknn import evaluate_itemknn
from larp_core.graph import memo
from larp_core.graph.encoders import SENSITIVE_ENCODER, neighbours_of
from larp_core.graph.job import Job, Report
from larp_core.model.modeling_larp import LarpModel
from larp_core.runtime.files import write_parquet
from larp_core.training import processes
from larp_core.training.encode import encode_all, track_vectors
from larp_core.training.inputs import StageInputs, check_parent
from larp_core.training.loop import RunFiles
from larp_core.training.stages import run_stage
from larp_core.training.state import StateFolder
from larp_core.training.track_data import load_track_data

SPLITS = ("valid", "test")


def train_with_neighbours(job: Job) -> Report:
    """Writes `sensitivity/j_<J>.parquet`: `split, playlist_id, metric, k, value` of ItemKNN on the trained vectors.

    Raises:
        UserError: no train track has what the stage contrasts, or a split has no playlist with a target.
    """
    paths, count = job.paths, neighbours_of(job)
    recipe = replace(job.recipe, training=replace(job.recipe.training, num_neighbours=count))
    processes.start(recipe.training.device)
    if recipe.training.num_threads:
        torch.set_num_threads(recipe.training.num_threads)
    parent = TRAINED[SENSITIVE_ENCODER].parent
    assert parent is not None
    with processes.together():
        check_parent(job, parent)
        inputs = StageInputs.load(paths, recipe, paths.model(parent))
    name = f"{SENSITIVE_ENCODER}_{job.encoder}"
    states = StateFolder(paths.training_state(name), memo.fingerprint(job), processes.count())
    files = RunFiles(states, paths.tensorboard(name))
    model, result = run_stage(SENSITIVE_ENCODER, inputs, recipe, paths.model(parent), files=files)
    if not processes.is_main():
        return Report(0)
    frame = pl.concat(_scores(job, model, inputs, split) for split in SPLITS)
    write_parquet(frame, paths.sensitivity(job.encoder))
    states.remove()
    means = frame.filter(metric="recall", k=min(recipe.evaluation.ks)).group_by("split").agg(pl.mean("value"))
    facts = {f"{split}_recall_at_{min(recipe.evaluation.ks)}": mean for split, mean in means.sort("split").iter_rows()}
    return Report(frame.height, facts={"num_neighbours": count, "best_epoch": result.best_epoch, **facts})


def _scores(job: Job, model: LarpModel, inputs: StageInputs, split: str) -> pl.DataFrame:
    holdouts = load_holdouts(job.paths, "test" if split == "test" else "valid")
    tokens = model.config.max_tokens
    data = load_track_data(job.paths, holdouts.candidates, inputs.tokenizer, tokens, load_mels(job.paths))
    features = encode_all(model, data, job.recipe.training.precision)
    seen = (features.has_audio | features.has_text).cpu().numpy()
    vectors = track_vectors(features)
    frame = evaluate_itemknn(holdouts, holdouts.candidates[seen], vectors[seen], job.recipe.evaluation.ks)
    return frame.select(pl.lit(split).alias("split"), pl.all())
