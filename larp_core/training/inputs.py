"""What a stage reads, checked before it is trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from larp_core.audio.mels.array import load_mels
from larp_core.audio.mels.log_mel import NUM_FRAMES, NUM_MELS
from larp_core.config.paths import DatasetPaths
from larp_core.config.recipes import Recipe
from larp_core.data.train_graph import TrainGraph, load_train_graph
from larp_core.evaluation.holdouts import Holdouts, load_holdouts
from larp_core.model.vocabulary import make_tokenizer
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import read_json
from larp_core.training.provenance import Provenance
from larp_core.training.track_data import TrackData, load_captions, load_track_data


@dataclass(frozen=True)
class StageInputs:
    """All that a stage reads: train and validation tracks, the train graph, validation playlists."""

    tokenizer: PreTrainedTokenizerBase
    train: TrackData
    valid: TrackData
    graph: TrainGraph
    holdouts: Holdouts

    def heard_only(self) -> StageInputs:
        """The same for a stage in which captions take no part."""
        return replace(self, train=self.train.heard_only(), valid=self.valid.heard_only())

    @classmethod
    def load(cls, paths: DatasetPaths, recipe: Recipe, parent: Path | None) -> StageInputs:
        """Reads the dataset's files; the vocabulary is the parent stage's, or made by the recipe.

        Raises:
            UserError: a split without tracks or playlists; a mel file that isn't one.
        """
        graph, holdouts, mels = load_train_graph(paths.graph), load_holdouts(paths, "valid"), _checked_mels(paths)
        if graph.num_tracks == 0:
            split = paths.split_tracks.parent
            raise UserError(f"{split}: the train split has no track; bring more playlists, or lower split.min_tracks")
        tokenizer = (
            AutoTokenizer.from_pretrained(parent)
            if parent
            else make_tokenizer(recipe.model.text, load_captions(paths, "train")["caption"].to_list())
        )
        max_tokens, groups = recipe.model.text.max_tokens, recipe.training.caption_groups
        return cls(
            tokenizer=tokenizer,
            train=load_track_data(paths, graph.track_ids, tokenizer, max_tokens, mels, groups),
            valid=load_track_data(paths, np.sort(holdouts.candidates), tokenizer, max_tokens, mels),
            graph=graph,
            holdouts=holdouts,
        )


def check_parent(folder: Path, parent: str, expected: Provenance) -> None:
    """Refuses to start from weights of another recipe or other data: a folder copied by hand, or left by an old run.

    Raises:
        UserError: `training.json` in the parent's `folder` isn't there or tells of another training.
    """
    remedy = f"materialize {expected.asset} again with these settings"
    if not (folder / "training.json").exists():
        raise UserError(f"{folder}/training.json is missing, so what the weights were trained on is unknown: {remedy}")
    record = read_json(folder / "training.json")
    wanted = {
        "encoder": parent,
        "recipe": expected.recipe_name,
        "seed": expected.seed,
        "data_fingerprint": expected.data_fingerprint,
        "training_fingerprint": expected.fingerprint,
    }
    for field, value in wanted.items():
        if record.get(field) != value:
            raise UserError(f"{folder}/training.json: {field} is {record.get(field)!r}, not {value!r}: {remedy}")


def _checked_mels(paths: DatasetPaths) -> np.ndarray:
    """Raises UserError where mels.npy isn't float16 [num_clips, 1001, 64] with a row for each in mels.parquet."""
    remedy = "delete it and run mels again"
    try:
        mels = load_mels(paths)
    except (ValueError, EOFError) as error:
        raise UserError(f"{paths.mels} can't be read ({error}): {remedy}") from None
    shape = (mels.shape[0] if mels.ndim else 0, NUM_FRAMES, NUM_MELS)
    if mels.shape != shape or mels.dtype != np.float16:
        wanted = f"float16 [num_clips, {NUM_FRAMES}, {NUM_MELS}]"
        raise UserError(f"{paths.mels} holds {mels.dtype} {list(mels.shape)}, not {wanted}: {remedy}")
    rows = pl.read_parquet(paths.mel_rows)["row"]
    if len(rows) != len(mels):
        raise UserError(f"{paths.mels} has {len(mels)} rows, {paths.mel_rows.name} {len(rows)}: {remedy}")
    return mels
