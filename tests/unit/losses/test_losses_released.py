"""The `released_code` losses against loops that read like the published `models/larp.py`, on the passes it makes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from loss_batches import TEMPERATURE, make_batch, make_features

from larp_core.losses.encoded import EncodedBatch
from larp_core.losses.tpc import track_playlist_contrast
from larp_core.losses.ttc import track_track_contrast
from larp_core.losses.wtc import within_track_contrast


def make_released_batch(seed: int, soft: float) -> EncodedBatch:
    """As the recipe has it: the momentum encoder's features are the batch's columns."""
    batch, _ = make_batch(seed, diagonal=True, soft_label_weight=soft, queued=9)
    return dataclasses.replace(batch, keys=batch.momentum)


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()


def published_pass(
    audio: np.ndarray, text: np.ndarray, audio_m: np.ndarray, text_m: np.ndarray, queues: list[np.ndarray], alpha: float
) -> float:
    """One forward of the published model up to its contrastive loss: row n's clip against row n's caption."""
    audio_all, text_all = np.concatenate([audio_m, queues[0]]), np.concatenate([text_m, queues[1]])
    losses = []
    for queries, queries_m, columns in ((audio, audio_m, text_all), (text, text_m, audio_all)):
        rows = []
        for n, (query, query_m) in enumerate(zip(queries, queries_m, strict=True)):
            target = alpha * softmax(columns @ query_m / TEMPERATURE)
            target[n] += 1 - alpha
            rows.append(-(np.log(softmax(columns @ query / TEMPERATURE)) * target).sum())
        losses.append(np.mean(rows))
    return float(np.mean(losses))


def arrays(batch: EncodedBatch) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """([audio, text, audio_m, text_m], the filled slots of both queues from the oldest on)."""
    sides = [batch.online.audio, batch.online.text, batch.momentum.audio, batch.momentum.text]
    order = [slot for slot in batch.queue.next_slots(len(batch.queue.tracks)).tolist() if batch.queue.tracks[slot] >= 0]
    queues = [batch.queue.audio[order].numpy(), batch.queue.text[order].numpy()]
    return [side.detach().numpy() for side in sides], queues


@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_wtc_is_the_ego_pass(alpha: float) -> None:
    batch = make_released_batch(1, alpha)
    sides, queues = arrays(batch)
    assert within_track_contrast(batch).item() == pytest.approx(published_pass(*sides, queues, alpha), abs=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_ttc_is_the_cross_pass_after_the_ego_pass_was_queued(alpha: float) -> None:
    batch = make_released_batch(2, alpha)
    sides, queues = arrays(batch)
    pairs, num_slots = batch.num_pairs, len(batch.queue.tracks)
    # Slots not filled yet are overwritten first.
    overwritten = max(0, 2 * pairs - (num_slots - len(queues[0])))
    queued = [np.concatenate([old[overwritten:], new]) for old, new in zip(queues, sides[2:], strict=True)]
    audio, text, audio_m, text_m = sides
    swap = np.r_[pairs : 2 * pairs, 0:pairs]
    expected = published_pass(audio, text[swap], audio_m, text_m[swap], queued, alpha)
    assert track_track_contrast(batch).item() == pytest.approx(expected, abs=1e-5)


def test_tpc_is_the_cross_pass_against_the_playlists_of_its_anchors() -> None:
    batch = make_released_batch(3, 0.4)
    playlist = make_features(np.random.default_rng(4), batch.num_pairs, 6)
    (audio, text, *_), _ = arrays(batch)
    pairs = batch.num_pairs
    swap = np.r_[pairs : 2 * pairs, 0:pairs]
    losses = []
    for queries, lists in ((audio, playlist.text), (text[swap], playlist.audio)):
        columns, rows = lists.detach().numpy(), []
        for n, query in enumerate(queries):
            target = np.eye(2 * pairs, pairs)[n]
            rows.append(-(np.log(softmax(columns @ query / TEMPERATURE)) * target).sum())
        losses.append(np.mean(rows))
    assert track_playlist_contrast(batch, playlist).item() == pytest.approx(np.mean(losses), abs=1e-5)


def test_the_graph_is_not_looked_at() -> None:
    batch = make_released_batch(5, 0.4)
    playlist = make_features(np.random.default_rng(4), batch.num_pairs, 6)

    def refuse(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        raise AssertionError("diagonal targets ask for no relation")

    blind = dataclasses.replace(batch, co_occurs=refuse, contains=refuse)
    assert track_track_contrast(blind) > 0 and track_playlist_contrast(blind, playlist) > 0
