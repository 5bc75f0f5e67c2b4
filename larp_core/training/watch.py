"""Telling how training goes: lines in the log, TensorBoard event files, peaks of memory."""

from __future__ import annotations

import contextlib
import logging
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from tensorboardX import SummaryWriter

from larp_core.training.records import EpochRecord, RunProgress

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 30.0


class Watch:
    """One run's.

    Args:
        tensorboard: folder of the event files; None writes none.
        draws_per_epoch, epochs: for the estimate of the time left.
    """

    def __init__(self, tensorboard: Path | None, draws_per_epoch: int, epochs: int) -> None:
        self._folder = tensorboard
        self._writer: SummaryWriter | None = None
        self._draws_per_epoch, self._epochs = draws_per_epoch, epochs
        self._last_line = time.monotonic()

    @contextlib.contextmanager
    def running(self, step: int) -> Iterator[None]:
        """Opens the event files at optimiser step `step`; what a killed run wrote beyond it is taken back."""
        if self._folder is not None:
            if step == 0:
                shutil.rmtree(self._folder, ignore_errors=True)
            self._writer = SummaryWriter(str(self._folder), purge_step=step + 1 if step else None)
        try:
            yield
        finally:
            if self._writer is not None:
                self._writer.close()

    def step(self, progress: RunProgress, losses: dict[str, float], learning_rate: float) -> None:
        """After an optimiser step; `losses` of its last batch."""
        if self._writer is not None:
            for name, value in (losses | {"learning_rate": learning_rate}).items():
                self._writer.add_scalar(f"step/{name}", value, progress.step)
        if time.monotonic() - self._last_line < SECONDS_BETWEEN_LINES:
            return
        self._last_line = time.monotonic()
        seconds_a_draw = progress.seconds / progress.draws
        draws_left = (self._epochs - progress.epoch + 1) * self._draws_per_epoch - progress.draws
        logger.info(
            "epoch %d/%d, batch %d/%d: %s, %.0f tracks/s, epoch done in %.0f s, all at most in %.0f s",
            progress.epoch,
            self._epochs,
            progress.draws,
            self._draws_per_epoch,
            _told(progress.means()),
            progress.tracks_per_second(),
            (self._draws_per_epoch - progress.draws) * seconds_a_draw,
            draws_left * seconds_a_draw,
        )

    def epoch(self, record: EpochRecord, step: int) -> None:
        """After an epoch's validation."""
        self._last_line = time.monotonic()
        if self._writer is not None:
            values = record.losses | {"valid_recall_at_10": record.valid_recall_at_10}
            for name, value in values.items():
                self._writer.add_scalar(f"epoch/{name}", value, step)
            self._writer.flush()
        if record.loss is None:
            logger.info(
                "epoch 0/%d: validation Recall@10 %.4f before the first step", self._epochs, record.valid_recall_at_10
            )
            return
        logger.info(
            "epoch %d/%d: loss %.3f (%s), validation Recall@10 %.4f, %.0f tracks/s, at most %.0f s left",
            record.epoch,
            self._epochs,
            record.loss,
            _told(record.losses),
            record.valid_recall_at_10,
            record.tracks_per_second,
            (self._epochs - record.epoch) * record.seconds,
        )


def peak_memory() -> dict[str, float]:
    """The most memory that this process has held, in MB: resident, and on its GPU where it has one."""
    unit = 1e6 if sys.platform == "darwin" else 1e3
    peaks = {"peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)}
    if torch.cuda.is_initialized():
        peaks["peak_gpu_memory_mb"] = round(torch.cuda.max_memory_allocated() / 1e6, 1)
    return peaks


def _told(losses: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
