"""What only a GPU can show. Skipped elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from training_world import RECIPE, make_inputs

from larp_core.training.encode import encode_all
from larp_core.training.stages import run_stage

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


@pytest.mark.parametrize("stage", ["larp_wtc", "larp_ttc", "larp_tpc_fusion", "clap_ft"])
def test_stages_train_on_the_gpu(stage: str) -> None:
    model, result = run_stage(stage, make_inputs(without_audio=4), RECIPE, None)
    assert model.device.type == "cuda"
    assert np.isfinite(result.curve[-1].loss or np.nan)


def test_gpu_and_cpu_agree_on_features() -> None:
    inputs = make_inputs()
    model, _ = run_stage("larp_wtc", inputs, RECIPE, None)
    there = encode_all(model, inputs.train, "fp32")
    here = encode_all(model.to("cpu"), inputs.train, "fp32")  # type: ignore[arg-type]
    assert torch.allclose(there.audio.cpu(), here.audio, atol=1e-3)
    assert torch.allclose(there.text.cpu(), here.text, atol=1e-3)
