"""Bad input and bad luck: one line each, with what to do. And the settings that must not change what is learned."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from tensorboardX.proto.event_pb2 import Event
from training_world import TINY, make_inputs, only, write_world

from larp_core.config import TrainingConfig
from larp_core.config.recipes import Recipe
from larp_core.config.settings import Settings
from larp_core.config.stages import STAGES
from larp_core.graph import memo
from larp_core.graph.job import Job
from larp_core.graph.registry import job_named
from larp_core.model.modeling_larp import LarpModel
from larp_core.model.pretrained import build_model
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import read_json, write_json
from larp_core.training import track_data
from larp_core.training.faults import NonFiniteError, telling_what_fits
from larp_core.training.inputs import StageInputs
from larp_core.training.stages import run_stage


def with_training(**changes: Any) -> Recipe:
    return dataclasses.replace(TINY, training=dataclasses.replace(TINY.training, **changes))


def job_of(settings: Settings, stage: str) -> Job:
    return job_named(stage, settings, "mpd")


def load(settings: Settings) -> StageInputs:
    return StageInputs.load(settings.paths("mpd"), settings.recipe, None)


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_nan_in_a_clip_names_its_track_and_uri(tmp_path: Path, norm: Literal["none", "batch"]) -> None:
    """With batch norms it is their statistics, hence the validation, that break first."""
    recipe = dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, norm=norm))
    settings = write_world(tmp_path, recipe)
    paths = settings.paths("mpd")
    mels = np.load(paths.mels)
    mels[6, 500, 3] = np.nan
    np.save(paths.mels, mels)
    with pytest.raises(UserError, match=r"[Nn]a[Nn].*mels\.npy holds some too.*; tracks: 6 \(uri6\)$"):
        memo.run(job_of(settings, "larp_wtc"))
    assert not paths.model("larp_wtc").exists()


def test_nan_from_the_training_itself_names_the_batch() -> None:
    with pytest.raises(NonFiniteError, match=r"epoch 1, batch 2: loss wtc is nan.*lower training") as caught:
        run_stage(STAGES["larp_wtc"], make_inputs(), with_training(learning_rate=1e12, batch_size=3), None)
    assert len(caught.value.track_ids) == 6


@pytest.mark.parametrize(
    ("mels", "told"),
    [
        (np.zeros((36, 1001, 32), np.float16), r"holds float16 \[36, 1001, 32\], not float16 \[num_clips, 1001, 64\]"),
        (np.zeros((36, 1001, 64), np.float32), r"holds float32 "),
        (np.zeros((35, 1001, 64), np.float16), r"has 35 rows, mels.parquet 36"),
    ],
)
def test_a_wrong_mel_file_is_refused(tmp_path: Path, mels: np.ndarray, told: str) -> None:
    settings = write_world(tmp_path)
    np.save(settings.paths("mpd").mels, mels)
    with pytest.raises(UserError, match=told + ".*run mels again"):
        load(settings)


def test_a_torn_mel_file_is_refused(tmp_path: Path) -> None:
    settings = write_world(tmp_path)
    mels = settings.paths("mpd").mels
    mels.write_bytes(mels.read_bytes()[:5000])
    with pytest.raises(UserError, match="can't be read"):
        load(settings)


def test_an_empty_train_split_is_refused(tmp_path: Path) -> None:
    import duckdb

    settings = write_world(tmp_path)
    with duckdb.connect(settings.paths("mpd").graph) as connection:
        connection.execute("delete from interactions")
    with pytest.raises(UserError, match="the train split has no track; bring more playlists"):
        load(settings)


def test_one_anchor_is_refused_and_fewer_than_a_batch_are_said(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UserError, match="1 of the 24 train tracks has a clip or a caption, and a contrast needs two"):
        run_stage(STAGES["larp_wtc"], make_inputs(without_audio=23, without_text=24), TINY, None)
    run_stage(STAGES["larp_wtc"], make_inputs(), with_training(batch_size=100, epochs=only(larp_wtc=1)), None)
    assert "a batch holds all 24 anchors, not the 200 asked for" in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        MemoryError(),
    ],
)
def test_out_of_memory_is_told_with_what_to_try(error: BaseException) -> None:
    told = r"at training\.batch_size 50: try 25; gradient_accumulation keeps"
    with pytest.raises(UserError, match=told), telling_what_fits(TrainingConfig(batch_size=50), None):
        raise error
    with pytest.raises(RuntimeError, match="shapes"), telling_what_fits(TrainingConfig(), None):
        raise RuntimeError("shapes do not match")


@pytest.mark.parametrize(("room_for", "told"), [(6, "2 fits"), (1, "not even 1 fits")])
def test_what_fits_is_tried_out(monkeypatch: pytest.MonkeyPatch, room_for: int, told: str) -> None:
    original = LarpModel.get_audio_features

    def limited(self: LarpModel, input_features: torch.Tensor) -> torch.Tensor:
        if self.training and len(input_features) > room_for:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return original(self, input_features)

    recipe = with_training(batch_size=8)
    recipe = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, norm="none"))
    monkeypatch.setattr(LarpModel, "get_audio_features", limited)
    with pytest.raises(UserError, match=rf"out of memory at training\.batch_size 8: {told};"):
        run_stage(STAGES["larp_ttc"], make_inputs(), recipe, None)


def test_the_text_tower_attends_by_sdpa() -> None:
    model = build_model(TINY.model, 50, seed=0)
    assert model.text_model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("queue_size", [1, 7, 33])
def test_any_queue_goes_with_any_batch(queue_size: int) -> None:
    """The published code asserts that the one divides by the other."""
    recipe = dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, queue_size=queue_size))
    _, result = run_stage(STAGES["larp_ttc"], make_inputs(), recipe, None)
    assert np.isfinite(result.curve[-1].loss or np.nan)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = write_world(tmp_path_factory.mktemp("trained"))
    memo.run(job_of(settings, "larp_wtc"))
    return settings


@pytest.mark.parametrize("field", ["recipe", "seed", "data_fingerprint", "training_fingerprint", "encoder"])
def test_weights_of_another_training_are_refused(trained: Settings, field: str) -> None:
    record = trained.paths("mpd").model("larp_wtc") / "training.json"
    own = read_json(record)
    write_json(own | {field: "another"}, record)
    with pytest.raises(UserError, match=f"{field} is 'another', not .*: materialize mpd/larp_wtc again"):
        memo.run(job_of(trained, "larp_ttc"))
    write_json(own, record)


def test_weights_of_unknown_training_are_refused(trained: Settings) -> None:
    record = trained.paths("mpd").model("larp_wtc") / "training.json"
    own = read_json(record)
    record.unlink()
    with pytest.raises(UserError, match=r"training\.json is missing"):
        memo.run(job_of(trained, "larp_ttc"))
    write_json(own, record)


def test_changed_captions_or_settings_are_seen_before_training(trained: Settings) -> None:
    other = dataclasses.replace(trained, recipe=with_training(learning_rate=1e-3))
    with pytest.raises(UserError, match="training_fingerprint is"):
        memo.run(job_of(other, "larp_ttc"))


def test_saving_more_often_is_no_other_training(trained: Settings) -> None:
    other = dataclasses.replace(trained, recipe=with_training(save_every_steps=7, device="cpu"))
    assert memo.finished(job_of(other, "larp_wtc")) is not None


def test_the_report_tells_memory_and_the_event_files_the_curve(trained: Settings) -> None:
    done = memo.finished(job_of(trained, "larp_wtc"))
    assert done is not None and 50 < done.report.facts["peak_memory_mb"] < 100_000
    paths = trained.paths("mpd")
    (events,) = paths.tensorboard("larp_wtc").iterdir()
    told = {(value.tag, event.step): value.simple_value for event in events_of(events) for value in event.summary.value}
    curve = read_json(paths.model("larp_wtc") / "training.json")["curve"]
    for entry in curve:
        step = 3 * entry["epoch"]
        assert told["epoch/valid_recall_at_10", step] == pytest.approx(entry["valid_recall_at_10"])
        if entry["epoch"]:
            assert told["epoch/wtc", step] == pytest.approx(entry["losses"]["wtc"])
    assert {step for tag, step in told if tag == "step/wtc"} == set(range(1, 3 * len(curve) - 2))


def events_of(path: Path) -> list[Event]:
    """TFRecord: length, its checksum, the message, its checksum."""
    content, found = path.read_bytes(), []
    while content:
        length = int.from_bytes(content[:8], "little")
        found.append(Event.FromString(content[12 : 12 + length]))
        content = content[16 + length :]
    return found


def losses_of(stage: str = "larp_ttc", **changes: Any) -> list[float]:
    _, result = run_stage(STAGES[stage], make_inputs(), with_training(patience=None, **changes), None)
    return [entry.loss or 0.0 for entry in result.curve[1:]]


def test_checkpointed_layers_and_deterministic_mode_change_nothing() -> None:
    plain = losses_of(epochs=only(larp_ttc=2))
    assert losses_of(epochs=only(larp_ttc=2), gradient_checkpointing=True) == pytest.approx(plain, abs=1e-5)
    assert losses_of(epochs=only(larp_ttc=2), deterministic=True) == plain
    assert losses_of(epochs=only(larp_ttc=2), fused_adam=True) == pytest.approx(plain, abs=1e-4)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("stage", ["larp_wtc", "larp_tpc_fusion"])
def test_a_long_queue_trains_as_a_short_one(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands apart from the batch, and is filled between the forward and the backward pass."""
    short = losses_of(stage, epochs=only(**{stage: 2}), learning_rate=1e-5)
    monkeypatch.setattr("larp_core.losses.contrast.LONG_QUEUE", 1)
    assert losses_of(stage, epochs=only(**{stage: 2}), learning_rate=1e-5) == pytest.approx(short, rel=1e-4)


@pytest.mark.parametrize("stage", ["larp_ttc", "clap_ft"])
def test_grouped_captions_change_nothing(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track_data, "SMALLEST_GROUP", 2)
    inputs = make_inputs(without_text=3)
    grouped = dataclasses.replace(inputs, train=dataclasses.replace(inputs.train, caption_groups=4))
    batch = grouped.train.batch(np.arange(24))
    assert len(batch.text_groups) == 4 and sum(number for number, _ in batch.text_groups) == 21
    assert sorted(batch.text_rows.tolist()) == list(range(21))
    steady = with_training(patience=None, epochs=only(**{stage: 1}), token_dropout=0.3)
    losses = [run_stage(STAGES[stage], some, steady, None)[1].curve[-1].loss for some in (inputs, grouped)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def test_a_group_of_captions_is_not_too_small() -> None:
    data = dataclasses.replace(make_inputs(without_text=3).train, caption_groups=4)
    sizes = [[number for number, _ in data.batch(np.arange(tracks)).text_groups] for tracks in (24, 15, 16)]
    assert sizes == [[11, 10], [15], [8, 8]]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_near_full_precision_and_learns(precision: str) -> None:
    frozen: dict[str, Any] = dict(epochs=only(larp_wtc=1), learning_rate=0.0)
    assert losses_of("larp_wtc", precision=precision, **frozen) == pytest.approx(
        losses_of("larp_wtc", **frozen), rel=0.02
    )
    learned = losses_of("larp_wtc", precision=precision, epochs=only(larp_wtc=6))
    assert learned[-1] < learned[0]


def test_accumulated_batches_make_one_step_of_their_mean_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two batches against the mean of their separate gradients: the queue is filled in between either way."""
    gradients: list[list[torch.Tensor]] = []
    step = torch.optim.Adam.step

    def kept(self: torch.optim.Adam, *args: Any, **options: Any) -> Any:
        gradients.append([p.grad.clone() for group in self.param_groups for p in group["params"] if p.grad is not None])
        return step(self, *args, **options)

    monkeypatch.setattr(torch.optim.Adam, "step", kept)
    frozen: dict[str, Any] = dict(learning_rate=0.0, batch_size=6, epochs=only(larp_ttc=1))
    losses = losses_of(**frozen), losses_of(**frozen, gradient_accumulation=2)
    assert losses[0] == pytest.approx(losses[1])
    assert len(gradients) == 6  # four batches, then two groups of two
    for group, pair in ((4, (0, 1)), (5, (2, 3))):
        for accumulated, first, second in zip(gradients[group], gradients[pair[0]], gradients[pair[1]], strict=True):
            assert torch.allclose(accumulated, (first + second) / 2, rtol=1e-3, atol=1e-5)
