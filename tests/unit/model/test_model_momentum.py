from __future__ import annotations

from collections import deque

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from larp_core.model.momentum import NO_TRACK, FeatureQueue, MomentumEncoder


@given(st.integers(1, 9), st.lists(st.integers(1, 12), max_size=8))
def test_queue_equals_a_deque(size: int, batches: list[int]) -> None:
    queue, twin, number = FeatureQueue(size, 1), deque(maxlen=size), 0
    for length in batches:
        tracks = torch.arange(number, number + length)
        number += length
        flags = tracks % 2 == 0
        queue.push(tracks[:, None].float(), -tracks[:, None].float(), tracks, flags, ~flags)
        twin.extend(tracks.tolist())
    assert sorted(t for t in queue.tracks.tolist() if t != NO_TRACK) == sorted(twin)
    for track, audio, text, has_audio in zip(queue.tracks, queue.audio, queue.text, queue.has_audio, strict=True):
        if track != NO_TRACK:
            assert audio.item() == track and text.item() == -track and has_audio.item() == (track % 2 == 0)


def test_momentum_follows_parameters_slowly_and_buffers_at_once() -> None:
    model = nn.BatchNorm1d(2)
    slow = MomentumEncoder(model, momentum=0.9)  # type: ignore[arg-type]
    with torch.no_grad():
        model.weight.fill_(2.0)
        model.running_mean.fill_(5.0)
    slow.follow(model)  # type: ignore[arg-type]
    assert torch.allclose(slow.model.weight, torch.full((2,), 0.9 * 1.0 + 0.1 * 2.0))
    assert torch.equal(slow.model.running_mean, torch.full((2,), 5.0))
    assert not any(parameter.requires_grad for parameter in slow.parameters())
