"""The momentum encoder and its queues: a cache of past tracks that serve as negatives (paper, section 3.1; ALBEF)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from larp_core.model.modeling_larp import LarpModel

NO_TRACK = -1


class MomentumEncoder(nn.Module):
    """A slow copy of the model: its parameters follow by an exponential moving average, its buffers by copying."""

    def __init__(self, model: LarpModel, momentum: float) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.momentum = momentum

    @torch.no_grad()
    def follow(self, model: LarpModel) -> None:
        """theta_m <- m * theta_m + (1 - m) * theta."""
        for slow, fast in zip(self.model.parameters(), model.parameters(), strict=True):
            slow.lerp_(fast.detach(), 1.0 - self.momentum)
        for slow_buffer, fast_buffer in zip(self.model.buffers(), model.buffers(), strict=True):
            slow_buffer.copy_(fast_buffer)


class FeatureQueue(nn.Module):
    """First in, first out: unit vectors of both modalities of the last `size` tracks, and which tracks they are.

    Any size goes with any batch: slots are taken round a ring, so `size` need not be a multiple of the batch (the
    published code asserts that it is).

    Attributes:
        audio, text: float32 [Q, D].
        tracks: int64 [Q], NO_TRACK where nothing has been queued yet.
        has_audio, has_text: bool [Q].
    """

    audio: Tensor
    text: Tensor
    tracks: Tensor
    has_audio: Tensor
    has_text: Tensor
    pointer: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("audio", torch.zeros(size, width))
        self.register_buffer("text", torch.zeros(size, width))
        self.register_buffer("tracks", torch.full((size,), NO_TRACK))
        self.register_buffer("has_audio", torch.zeros(size, dtype=torch.bool))
        self.register_buffer("has_text", torch.zeros(size, dtype=torch.bool))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))

    def next_slots(self, number: int) -> Tensor:
        """The slots that the next `number` tracks will be put in: those of the oldest entries, int64 [number]."""
        return (self.pointer + torch.arange(number, device=self.tracks.device)) % self.tracks.shape[0]

    @torch.no_grad()
    def push(self, audio: Tensor, text: Tensor, tracks: Tensor, has_audio: Tensor, has_text: Tensor) -> None:
        """Replaces the oldest entries by these B; of a batch larger than the queue the last ones stay."""
        size = self.tracks.shape[0]
        slots, tracks = self.next_slots(tracks.shape[0])[-size:], tracks[-size:]
        self.audio[slots], self.text[slots] = audio[-size:], text[-size:]
        self.tracks[slots] = tracks
        self.has_audio[slots], self.has_text[slots] = has_audio[-size:], has_text[-size:]
        self.pointer.copy_((slots[-1] + 1) % size)
