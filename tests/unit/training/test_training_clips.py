"""Several clips a track: training hears one of them an epoch, an embedding is the mean of all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from torch.nn.functional import normalize
from training_world import TINY, make_inputs, only, write_world

from larp_core.config.stages import STAGES
from larp_core.encoders.mel_statistics import embed_mel_statistics
from larp_core.encoders.towers import embed_audio_tower
from larp_core.graph.job import Job
from larp_core.graph.registry import job_named
from larp_core.model.pretrained import build_model
from larp_core.runtime.files import write_parquet
from larp_core.training.encode import encode_all
from larp_core.training.inputs import StageInputs
from larp_core.training.stages import run_stage
from larp_core.training.track_data import TrackData


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The tracks of `write_world`: those with an even id have two clips, the tenth has three, the first none."""
    settings = write_world(tmp_path_factory.mktemp("several"))
    paths = settings.paths("mpd")
    ids = pl.read_parquet(paths.tracks)["track_id"]
    counts = [0 if track_id == 0 else 3 if track_id == 10 else 2 - track_id % 2 for track_id in ids]
    rows = pl.DataFrame({"track_id": ids, "clip_index": [list(range(count)) for count in counts]})
    rows = rows.explode("clip_index").drop_nulls().cast({"clip_index": pl.Int32})
    write_parquet(rows.with_row_index("row").cast({"row": pl.Int32}), paths.mel_rows)
    rng = np.random.default_rng(5)
    np.save(paths.mels, rng.normal(size=(len(rows), 1001, 64)).astype(np.float16))
    return job_named("larp_wtc", settings, "mpd")


@pytest.fixture(scope="module")
def inputs(job: Job) -> StageInputs:
    return StageInputs.load(job.paths, TINY, None)


def rows_of(job: Job, track_id: int) -> list[int]:
    return pl.read_parquet(job.paths.mel_rows).filter(track_id=track_id)["row"].to_list()


def test_an_epoch_hears_one_clip_a_track_and_all_in_time(job: Job, inputs: StageInputs) -> None:
    data = inputs.train
    heard: dict[int, set[int]] = {}
    for epoch in range(1, 30):
        drawn = data.with_drawn_clips(42, epoch)
        assert drawn.num_clips is None
        np.testing.assert_array_equal(drawn.mel_rows, data.with_drawn_clips(42, epoch).mel_rows)
        for track_id, row in zip(drawn.track_ids.tolist(), drawn.mel_rows.tolist(), strict=True):
            heard.setdefault(track_id, set()).add(row)
    assert heard == {track_id: set(rows_of(job, track_id) or [-1]) for track_id in data.track_ids.tolist()}
    assert (data.with_drawn_clips(1, 1).mel_rows != data.with_drawn_clips(42, 1).mel_rows).any()


def test_one_clip_a_track_leaves_all_as_it_was() -> None:
    data = make_inputs().train
    assert data.num_clips is None
    assert data.with_drawn_clips(42, 1) is data
    assert list(data.further_clips(np.arange(4))) == []


def test_training_takes_the_epochs_draws(inputs: StageInputs, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[int, int]] = []
    batch = TrackData.batch

    def watched(data: TrackData, positions: np.ndarray, *share: int) -> object:
        if share:  # the loop's own batches are shared out
            seen.append(dict(zip(positions.tolist(), data.mel_rows[positions].tolist(), strict=True)))
        return batch(data, positions, *share)

    monkeypatch.setattr(TrackData, "batch", watched)
    recipe = replace(TINY, training=replace(TINY.training, epochs=only(larp_ttc=2)))
    run_stage(STAGES["larp_ttc"], inputs, recipe, None)
    steps = len(seen) // 2
    for epoch, draws in ((1, seen[:steps]), (2, seen[steps:])):
        rows = inputs.train.with_drawn_clips(recipe.training.seed, epoch).mel_rows
        assert steps and all(rows[position] == row for draw in draws for position, row in draw.items())


def test_an_audio_vector_is_the_mean_over_a_tracks_clips(job: Job, inputs: StageInputs) -> None:
    """Against a loop over single clips; a track with one clip has that clip's vector to the bit."""
    model = build_model(TINY.model, len(inputs.tokenizer), 0).eval()
    data = inputs.train
    audio = encode_all(model, data, "fp32").audio
    alone = encode_all(model, replace(data, num_clips=None), "fp32").audio
    for position, track_id in enumerate(data.track_ids.tolist()):
        rows = rows_of(job, track_id)
        if len(rows) < 2:
            assert torch.equal(audio[position], alone[position])
            continue
        mels = torch.from_numpy(np.load(job.paths.mels)[rows].astype(np.float32)).unsqueeze(1)
        with torch.no_grad():
            vectors = torch.cat([model.get_audio_features(mel[None]) for mel in mels])
        torch.testing.assert_close(audio[position], normalize(vectors.mean(0), dim=0), atol=1e-5, rtol=0)
        assert not torch.allclose(audio[position], alone[position], atol=1e-4)


def test_encoders_of_the_sound_average_a_tracks_clips(job: Job) -> None:
    track_ids = np.sort(pl.read_parquet(job.paths.split_tracks)["track_id"].to_numpy())
    mels = np.load(job.paths.mels).astype(np.float64)
    statistics = embed_mel_statistics(job_named("embeddings/mel_statistics", job.settings, "mpd"), track_ids)
    of_clips = {
        track: [np.r_[mels[row].mean(0), mels[row].std(0)] for row in rows_of(job, track)] for track in track_ids
    }
    means = np.stack([np.mean(of_clips[track], axis=0) for track in statistics.track_ids])
    in_train = pl.read_parquet(job.paths.split_tracks).filter(split="train")["track_id"].to_numpy()
    train = means[np.isin(statistics.track_ids, in_train)]
    np.testing.assert_allclose(statistics.vectors, (means - train.mean(0)) / train.std(0), atol=0.05)
    latents = embed_audio_tower(job_named("embeddings/htsat", job.settings, "mpd"), track_ids)
    assert latents.track_ids.tolist() == statistics.track_ids.tolist() == [t for t in track_ids if rows_of(job, t)]
    model = build_model(TINY.model, 100, TINY.training.seed).eval()
    rows = rows_of(job, 10)
    with torch.no_grad():
        expected = model.pooled_audio(torch.from_numpy(mels[rows].astype(np.float32)).unsqueeze(1)).mean(0).numpy()
    np.testing.assert_allclose(latents.vectors[latents.track_ids.tolist().index(10)], expected, atol=1e-4)
