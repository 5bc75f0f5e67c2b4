"""What a run has come to: the training curve, the place in it, and the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


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


@dataclass
class RunProgress:
    """Where a run is: all that a resumed run needs beside its tensors.

    Attributes:
        curve: the epochs so far; empty until epoch 0 has been validated.
        best_epoch: among the epochs trained, 0 while there is none.
        step: optimiser steps since the start.
        draws: batches drawn in the epoch under way; `totals` their losses' sums, `num_tracks`, `seconds` their cost.
    """

    curve: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0
    step: int = 0
    draws: int = 0
    num_tracks: int = 0
    seconds: float = 0.0
    totals: dict[str, float] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """The epoch under way, from 1."""
        return len(self.curve)

    def count(self, losses: dict[str, float], num_tracks: int) -> None:
        """Adds one batch."""
        self.draws += 1
        self.num_tracks += num_tracks
        for name, value in losses.items():
            self.totals[name] = self.totals.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        """Mean losses of the epoch under way, by name."""
        return {name: total / self.draws for name, total in self.totals.items()}

    def tracks_per_second(self) -> float:
        return self.num_tracks / max(self.seconds, 1e-9)

    def end_epoch(self, valid_recall_at_10: float, loss_weights: Mapping[str, float]) -> EpochRecord:
        """Puts the epoch under way on the curve. Returns its record."""
        means = self.means()
        shares = {name: loss_weights.get(name, 1.0) for name in means}
        record = EpochRecord(
            epoch=self.epoch,
            valid_recall_at_10=valid_recall_at_10,
            loss=sum(shares[name] * mean for name, mean in means.items()) / sum(shares.values()),
            losses=means,
            seconds=round(self.seconds, 2),
            tracks_per_second=round(self.tracks_per_second(), 1),
        )
        self.curve.append(record)
        self.draws, self.num_tracks, self.seconds, self.totals = 0, 0, 0.0, {}
        return record

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RunProgress:
        return cls(**values | {"curve": [EpochRecord(**entry) for entry in values["curve"]]})
