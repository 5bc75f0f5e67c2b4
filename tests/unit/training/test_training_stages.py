"""Every stage through the real loop on a handful of tracks."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from training_world import RECIPE, make_inputs, only
from transformers import AutoTokenizer

from larp_core.config.stages import STAGES
from larp_core.model.modeling_larp import LarpModel
from larp_core.runtime.errors import UserError
from larp_core.training.encode import encode_all, track_vectors
from larp_core.training.stages import random_recall, run_stage, save_model


def with_training(**changes: object) -> object:
    return dataclasses.replace(RECIPE, training=dataclasses.replace(RECIPE.training, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_trains_and_records_its_losses(stage: str) -> None:
    model, result = run_stage(STAGES[stage], make_inputs(), RECIPE, None)
    last = result.curve[-1]
    assert set(last.losses) == set(STAGES[stage].losses)
    assert all(np.isfinite(value) for value in last.losses.values())
    assert last.loss == pytest.approx(np.mean(list(last.losses.values())))
    assert 1 <= result.best_epoch < len(result.curve) and result.curve[0].loss is None
    assert not model.training


@pytest.mark.parametrize("stage", ["larp_ttc", "larp_tpc_fusion"])
@pytest.mark.parametrize("missing", [dict(without_audio=20), dict(without_audio=24), dict(without_text=10)])
def test_missing_modalities_leave_no_nan(stage: str, missing: dict[str, int]) -> None:
    inputs = make_inputs(**missing)
    model, result = run_stage(STAGES[stage], inputs, RECIPE, None)
    assert np.isfinite(result.curve[-1].loss or np.nan)
    assert np.isfinite(track_vectors(encode_all(model, inputs.train, "fp32"))).all()


def test_a_stage_without_any_clip_or_caption_says_so() -> None:
    with pytest.raises(UserError, match="a clip or a caption"):
        run_stage(STAGES["larp_wtc"], make_inputs(without_audio=24, without_text=24), RECIPE, None)


def test_training_repeats_to_the_bit() -> None:
    first, second = (run_stage(STAGES["larp_ttc"], make_inputs(), RECIPE, None)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_stage_starts_from_its_parents_weights() -> None:
    inputs = make_inputs()
    parent, _ = run_stage(STAGES["larp_wtc"], inputs, RECIPE, None)
    frozen = with_training(learning_rate=0.0)
    child, result = run_stage(STAGES["larp_ttc"], inputs, frozen, parent)  # type: ignore[arg-type]
    assert all(torch.equal(a, b) for a, b in zip(parent.parameters(), child.parameters(), strict=True))
    assert len(result.curve) > 1


def test_training_without_patience_runs_all_epochs_and_with_it_stops() -> None:
    epochs = only(larp_wtc=4)
    frozen = dict(learning_rate=0.0, epochs=epochs)
    _, all_of_them = run_stage(STAGES["larp_wtc"], make_inputs(), with_training(patience=None, **frozen), None)  # type: ignore[arg-type]
    _, stopped = run_stage(STAGES["larp_wtc"], make_inputs(), with_training(patience=1, **frozen), None)  # type: ignore[arg-type]
    assert len(all_of_them.curve) == 5
    assert len(stopped.curve) < 5


def test_released_code_targets_train_too() -> None:
    released = with_training(targets="diagonal", soft_label_weight=0.4, batch_keys="momentum")
    _, result = run_stage(STAGES["larp_tpc_fusion"], make_inputs(), released, None)  # type: ignore[arg-type]
    assert np.isfinite(result.curve[-1].loss or np.nan)


def test_the_fusion_learns_only_in_its_own_stage() -> None:
    inputs = make_inputs()
    parent, _ = run_stage(STAGES["larp_ttc"], inputs, RECIPE, None)
    mean, _ = run_stage(STAGES["larp_tpc"], inputs, RECIPE, parent)
    fused, _ = run_stage(STAGES["larp_tpc_fusion"], inputs, RECIPE, parent)
    assert torch.equal(parent.playlist_fusion.query.weight, mean.playlist_fusion.query.weight)
    assert not torch.equal(parent.playlist_fusion.query.weight, fused.playlist_fusion.query.weight)


def test_saved_models_replace_the_old_folder_whole(tmp_path: Path) -> None:
    inputs, folder = make_inputs(), tmp_path / "larp_wtc"
    folder.mkdir()
    (folder / "stale.txt").write_text("old")
    (tmp_path / ".larp_wtc.partial").mkdir()
    model, _ = run_stage(STAGES["larp_wtc"], inputs, RECIPE, None)
    save_model(folder, model, inputs.tokenizer, {"encoder": "larp_wtc"})
    assert not (folder / "stale.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["larp_wtc"]
    assert json.loads((folder / "training.json").read_text()) == {"encoder": "larp_wtc"}
    again = LarpModel.from_pretrained(folder)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert AutoTokenizer.from_pretrained(folder).get_vocab() == inputs.tokenizer.get_vocab()


def test_random_recall_is_ten_out_of_the_candidates() -> None:
    assert random_recall(make_inputs().holdouts) == pytest.approx(1.0)  # nine candidates: all are among the ten
