"""The one training loop. It knows losses by name only; which stage they make up is the objective's business."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

from larp_core.config import TrainingConfig
from larp_core.training.objective import Objective
from larp_core.training.sampler import Sampler
from larp_core.training.track_data import TrackData

logger = logging.getLogger(__name__)

LARGEST_WARMUP_SHARE = 0.2


@dataclass(frozen=True)
class EpochRecord:
    """One point of the training curve; epoch 0 is the stage's starting weights, with no loss."""

    epoch: int
    valid_recall_at_10: float
    loss: float | None = None
    losses: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    tracks_per_second: float = 0.0

    def without_timing(self) -> dict[str, Any]:
        """What is the same when the epoch is trained again, so that whatever reads it need not be made again."""
        timing = ("seconds", "tracks_per_second")
        return {name: value for name, value in asdict(self).items() if name not in timing}


@dataclass(frozen=True)
class TrainingResult:
    """The curve, the best epoch by validation, and the model's weights after it."""

    curve: list[EpochRecord]
    best_epoch: int
    best_state: dict[str, Any]


def train(
    objective: Objective,
    data: TrackData,
    sampler: Sampler,
    validate: Callable[[], float],
    config: TrainingConfig,
    epochs: int,
) -> TrainingResult:
    """Trains for at most `epochs`, stopping after `config.patience` without a better validation Recall@10.

    The best epoch is chosen among those trained, epoch 0 excepted: a stage's row in the tables shows what its own
    training did, even where that is harm.
    """
    optimizer = Adam(
        [parameter for parameter in objective.parameters() if parameter.requires_grad],
        lr=config.learning_rate,
        betas=config.adam_betas,
        weight_decay=config.weight_decay,
    )
    scheduler = LambdaLR(optimizer, cosine_with_warmup(config.warmup_steps, epochs * sampler.steps_per_epoch))
    objective.prepare(data)
    curve = [EpochRecord(epoch=0, valid_recall_at_10=validate())]
    logger.info("epoch 0/%d: validation Recall@10 %.4f before the first step", epochs, curve[0].valid_recall_at_10)
    best_epoch, best_state = 0, copy.deepcopy(objective.model.state_dict())
    for epoch in range(1, epochs + 1):
        record = _run_epoch(objective, data, sampler, validate, optimizer, scheduler, config, epoch)
        curve.append(record)
        logger.info(_describe(record, epochs))
        if best_epoch == 0 or record.valid_recall_at_10 > curve[best_epoch].valid_recall_at_10:
            best_epoch, best_state = epoch, copy.deepcopy(objective.model.state_dict())
        if config.patience is not None and epoch - best_epoch >= config.patience:
            logger.info("no better epoch since %d: stopping early", best_epoch)
            break
    return TrainingResult(curve, best_epoch, best_state)


def cosine_with_warmup(warmup_steps: int, total_steps: int) -> Callable[[int], float]:
    """The learning rate's factor at a step: linear from 0 to 1, then half a cosine to 0 at `total_steps`.

    A run too short for the recipe's warm-up spends a fifth of its steps on it.
    """
    warmup = max(1, min(warmup_steps, int(total_steps * LARGEST_WARMUP_SHARE)))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total_steps - warmup))))

    return factor


def _run_epoch(
    objective: Objective,
    data: TrackData,
    sampler: Sampler,
    validate: Callable[[], float],
    optimizer: Adam,
    scheduler: LambdaLR,
    config: TrainingConfig,
    epoch: int,
) -> EpochRecord:
    objective.train()
    started, num_tracks = time.monotonic(), 0
    totals: dict[str, float] = {}
    steps = tqdm(sampler.epoch(epoch), total=sampler.steps_per_epoch, desc=f"epoch {epoch}", mininterval=5, leave=False)
    for step, draw in enumerate(steps):
        batch = data.batch(draw.tracks).with_hidden_tokens(config.token_dropout).to(objective.model.device)
        losses = objective.losses(draw, batch, epoch - 1 + step / sampler.steps_per_epoch)
        loss = torch.stack(list(losses.values())).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        scheduler.step()
        num_tracks += len(draw.tracks)
        for name, value in losses.items():
            totals[name] = totals.get(name, 0.0) + value.item()
    seconds = time.monotonic() - started
    means = {name: total / sampler.steps_per_epoch for name, total in totals.items()}
    return EpochRecord(
        epoch=epoch,
        valid_recall_at_10=validate(),
        loss=sum(means.values()) / len(means),
        losses=means,
        seconds=round(seconds, 2),
        tracks_per_second=round(num_tracks / seconds, 1),
    )


def _describe(record: EpochRecord, epochs: int) -> str:
    parts = ", ".join(f"{name} {value:.3f}" for name, value in record.losses.items())
    left = (epochs - record.epoch) * record.seconds
    return (
        f"epoch {record.epoch}/{epochs}: loss {record.loss:.3f} ({parts}), validation Recall@10 "
        f"{record.valid_recall_at_10:.4f}, {record.tracks_per_second:.0f} tracks/s, at most {left:.0f} s left"
    )
