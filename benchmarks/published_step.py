"""A training step written as the published code does it (`train.py`, `models/larp.py`), for `train_step.py`.

A pair's two tracks are decoded from MP3 and turned into mels in the loader, once for the "ego" and once more for the
"cross" pass. Each pass runs both towers with gradient and their momentum copies without, captions padded to 30 tokens,
moves the momentum copies, contrasts with batch and queue by momentum soft labels, goes back, and fills the queue.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from larp_core.model.modeling_larp import LarpModel

ALPHA = 0.4
TEMPERATURES = (0.001, 0.5)


class PairFiles(Dataset):
    """`[n]`: the mels of pair n as (A, B, A, B), each decoded for itself."""

    def __init__(self, files: list[Path], pairs: np.ndarray) -> None:
        self.files, self.pairs = files, pairs
        self.mel = torchaudio.transforms.MelSpectrogram(
            48_000, 1024, hop_length=480, n_mels=64, f_min=50, f_max=14_000, norm="slaney", mel_scale="slaney"
        )

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, number: int) -> Tensor:
        first, second = self.pairs[number]
        return torch.stack([self._mel(self.files[track]) for track in (first, second, first, second)])

    def _mel(self, path: Path) -> Tensor:
        wave, _ = soundfile.read(path, dtype="float32")
        return 10 * self.mel(torch.from_numpy(wave[:480_000])).T.clamp(min=1e-10).log10()


class PublishedStep(nn.Module):
    """The towers, their momentum copies and the queue."""

    audio_queue: Tensor
    text_queue: Tensor

    def __init__(self, model: LarpModel, queue_size: int, momentum: float) -> None:
        super().__init__()
        self.model = as_published(model)
        self.slow = copy.deepcopy(self.model).requires_grad_(False)
        self.temperature = nn.Parameter(torch.tensor(0.07))
        self.momentum, self.pointer = momentum, 0
        for name in ("audio_queue", "text_queue"):
            self.register_buffer(name, F.normalize(torch.randn(model.config.projection_dim, queue_size), dim=0))
        self.optimizer = torch.optim.Adam(self.parameters(), lr=1e-4, betas=(0.9, 0.999))

    def step(self, mels: Tensor, ids: Tensor, mask: Tensor) -> None:
        """One optimiser step.

        Args:
            mels: [B, 4, 1001, 64] of A, B, A, B. ids, mask: [2 B, 30], of the As and then of the Bs.
        """
        ego = torch.cat([mels[:, 0], mels[:, 1]]).unsqueeze(1)
        cross = torch.cat([mels[:, 2], mels[:, 3]]).unsqueeze(1)
        swapped = torch.arange(len(ids), device=ids.device).roll(len(mels))
        self.optimizer.zero_grad()
        self._pass(ego, ids, mask).backward()
        self._pass(cross, ids[swapped], mask[swapped]).backward()
        self.optimizer.step()

    def _pass(self, mels: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        with torch.no_grad():
            self.temperature.clamp_(*TEMPERATURES)
        audio, text = self.model.get_audio_features(mels), self.model.get_text_features(ids, mask)
        with torch.no_grad():
            self._move()
            slow_audio, slow_text = self.slow.get_audio_features(mels), self.slow.get_text_features(ids, mask)
            audios = torch.cat([slow_audio.T, self.audio_queue.clone()], dim=1)
            texts = torch.cat([slow_text.T, self.text_queue.clone()], dim=1)
            targets = [self._targets(slow @ keys) for slow, keys in ((slow_audio, texts), (slow_text, audios))]
        losses = [
            -(F.log_softmax(online @ keys / self.temperature, dim=1) * target).sum(1).mean()
            for online, keys, target in ((audio, texts, targets[0]), (text, audios, targets[1]))
        ]
        self._enqueue(slow_audio, slow_text)
        return (losses[0] + losses[1]) / 2

    def _targets(self, similarity: Tensor) -> Tensor:
        diagonal = torch.zeros_like(similarity).fill_diagonal_(1)
        return ALPHA * F.softmax(similarity / self.temperature, dim=1) + (1 - ALPHA) * diagonal

    def _move(self) -> None:
        for fast, slow in zip(self.model.parameters(), self.slow.parameters(), strict=True):
            slow.data = slow.data * self.momentum + fast.data * (1.0 - self.momentum)

    def _enqueue(self, audio: Tensor, text: Tensor) -> None:
        slots = (self.pointer + torch.arange(len(audio), device=audio.device)) % self.audio_queue.shape[1]
        self.audio_queue[:, slots], self.text_queue[:, slots] = audio.T, text.T
        self.pointer = int(slots[-1]) + 1


def as_published(model: LarpModel) -> LarpModel:
    """A copy with the batch norm that HTS-AT comes with, in place of ours, which computes the same faster."""
    model = copy.deepcopy(model)
    encoder = model.audio_model.audio_encoder
    norm = nn.BatchNorm2d(encoder.batch_norm.num_features)
    norm.load_state_dict(encoder.batch_norm.state_dict())
    encoder.batch_norm = norm
    return model


def loader_of(files: list[Path], pairs: np.ndarray, batch_size: int, workers: int) -> DataLoader:
    return DataLoader(PairFiles(files, pairs), batch_size=batch_size, num_workers=workers, pin_memory=workers > 0)
