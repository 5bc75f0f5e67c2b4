"""What only a GPU can show. Skipped elsewhere."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_world import RECIPE, make_inputs, only

from larp_core.config.stages import STAGES
from larp_core.training.encode import encode_all
from larp_core.training.loop import RunFiles
from larp_core.training.stages import run_stage
from larp_core.training.state import StateFolder

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


@pytest.mark.parametrize("stage", ["larp_wtc", "larp_ttc", "larp_tpc_fusion", "clap_ft", "co_playlist"])
def test_stages_train_on_the_gpu(stage: str) -> None:
    model, result = run_stage(STAGES[stage], make_inputs(without_audio=4), RECIPE, None)
    assert model.device.type == "cuda"
    assert np.isfinite(result.curve[-1].loss or np.nan)


@pytest.mark.parametrize("changes", [dict(precision="bf16"), dict(precision="fp16"), dict(gradient_checkpointing=True)])
def test_half_precision_and_checkpointing_train_on_the_gpu(changes: dict[str, Any]) -> None:
    recipe = dataclasses.replace(RECIPE, training=dataclasses.replace(RECIPE.training, **changes))
    _, result = run_stage(STAGES["larp_ttc"], make_inputs(), recipe, None)
    assert np.isfinite(result.curve[-1].loss or np.nan)


def test_a_recipe_may_keep_to_the_cpu() -> None:
    recipe = dataclasses.replace(RECIPE, training=dataclasses.replace(RECIPE.training, device="cpu"))
    assert run_stage(STAGES["larp_wtc"], make_inputs(), recipe, None)[0].device.type == "cpu"
    assert run_stage(STAGES["larp_wtc"], make_inputs(), RECIPE, None)[0].device.type == "cuda"


def test_a_run_on_the_gpu_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    training = dataclasses.replace(RECIPE.training, deterministic=True, epochs=only(larp_wtc=2), patience=None)
    recipe = dataclasses.replace(RECIPE, training=training)
    files = RunFiles(StateFolder(tmp_path / "state", "run"), tmp_path / "tensorboard")
    whole, _ = run_stage(STAGES["larp_wtc"], make_inputs(), recipe, None, keep="last", files=files)
    for path in (tmp_path / "state").glob("epoch-00003-*"):  # what is left is the state after epoch 1
        path.unlink()
    resumed, _ = run_stage(STAGES["larp_wtc"], make_inputs(), recipe, None, keep="last", files=files)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_the_mel_norm_learns_in_deterministic_mode() -> None:
    """HTS-AT's own order would go back through a bicubic resizing, which has no algorithm that repeats."""
    audio = dataclasses.replace(RECIPE.model.audio, train_mel_norm=True)
    recipe = dataclasses.replace(
        RECIPE,
        model=dataclasses.replace(RECIPE.model, audio=audio),
        training=dataclasses.replace(RECIPE.training, deterministic=True),
    )
    first, second = (run_stage(STAGES["larp_wtc"], make_inputs(), recipe, None)[0] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_gpu_and_cpu_agree_on_features() -> None:
    inputs = make_inputs()
    model, _ = run_stage(STAGES["larp_wtc"], inputs, RECIPE, None)
    there = encode_all(model, inputs.train, "fp32")
    here = encode_all(model.to("cpu"), inputs.train, "fp32")  # type: ignore[arg-type]
    assert torch.allclose(there.audio.cpu(), here.audio, atol=1e-3)
    assert torch.allclose(there.text.cpu(), here.text, atol=1e-3)
