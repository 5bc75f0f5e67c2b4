"""A world without any audio: three stages and CLAP-FT on captions alone, through to the embeddings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from training_world import NUM_TRACKS, RECIPE, make_inputs

from larp_core.config.stages import STAGES
from larp_core.model.modeling_larp import LarpModel, SingleRowBatchNorm
from larp_core.runtime.errors import UserError
from larp_core.training.encode import encode_all, track_vectors
from larp_core.training.stages import run_stage


def weights(model: LarpModel) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("fusion", ["larp_tpc", "larp_tpc_fusion"])
def test_all_stages_train_on_captions_alone(fusion: str) -> None:
    inputs = make_inputs(without_audio=NUM_TRACKS)
    first, result = run_stage(STAGES["larp_wtc"], inputs, RECIPE, None)
    assert len(result.curve) == 1 and result.best_epoch == 0
    before = weights(first)
    parent = first
    for stage in ("larp_ttc", fusion):
        model, result = run_stage(STAGES[stage], inputs, RECIPE, parent)
        assert len(result.curve) > 1
        last = result.curve[-1].losses
        assert all(np.isfinite(value) for value in last.values())
        assert last["wtc"] == 0.0 and last["ttc"] > 0.0
        parent = model
    assert last["tpc"] > 0.0
    changed = {name for name, value in weights(model).items() if not torch.equal(value, before[name])}
    assert any(name.startswith("text_model.") for name in changed) and "text_projection.weight" in changed
    assert not any(name.startswith(("audio_model.", "audio_projection.")) for name in changed)
    vectors = track_vectors(encode_all(model, inputs.train, "fp32"))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_clap_ft_hands_its_weights_on_too() -> None:
    inputs = make_inputs(without_audio=NUM_TRACKS)
    _, result = run_stage(STAGES["clap_ft"], inputs, RECIPE, None)
    assert len(result.curve) == 1


def test_a_world_with_nothing_at_all_is_refused() -> None:
    inputs = make_inputs(without_audio=NUM_TRACKS, without_text=NUM_TRACKS)
    with pytest.raises(UserError, match="a clip or a caption"):
        run_stage(STAGES["larp_wtc"], inputs, RECIPE, None)


@pytest.mark.parametrize("stage", ["larp_wtc", "larp_ttc", "larp_tpc_fusion"])
def test_a_single_track_with_audio_is_no_zero(stage: str) -> None:
    """Its batch norm has one row to go by."""
    inputs = make_inputs(without_audio=NUM_TRACKS - 1)
    model, result = run_stage(STAGES[stage], inputs, RECIPE, None)
    assert (len(result.curve) > 1) == STAGES[stage].pairs  # one track has no other to be contrasted with
    assert all(torch.isfinite(p).all() for p in model.parameters())
    features = encode_all(model.train(), inputs.train, "fp32")
    assert features.audio[-1].norm().item() == pytest.approx(1.0, abs=1e-5)


def test_a_batch_norm_of_one_row_goes_by_its_running_statistics() -> None:
    norm = SingleRowBatchNorm(3, affine=False)
    norm(torch.randn(64, 3) * 2 + 1)
    row = torch.randn(1, 3)
    trained = norm(row)
    assert torch.equal(trained, norm.eval()(row))
    plain = torch.nn.BatchNorm1d(3, affine=False)
    several = torch.randn(5, 3)
    assert torch.equal(SingleRowBatchNorm(3, affine=False)(several), plain(several))
