"""The one training loop. It knows losses by name only; which stage they make up is the objective's business.

From here one sees how training goes: draw, encode, losses, step; validate after each epoch, keep the best, save.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from traceback import clear_frames

import torch

from larp_core.config import TrainingConfig
from larp_core.losses.weighted import weighted_mean
from larp_core.runtime.ahead import made_ahead
from larp_core.runtime.progress import bar
from larp_core.training import distributed
from larp_core.training.faults import check_losses, is_out_of_memory, telling_what_fits
from larp_core.training.objective import Objective
from larp_core.training.records import EpochRecord, TrainingResult
from larp_core.training.run import Run, start_run
from larp_core.training.sampler import Draw, Sampler
from larp_core.training.signals import Stop, noted_signals
from larp_core.training.state import StateFolder
from larp_core.training.track_data import TrackBatch, TrackData
from larp_core.training.watch import Watch

AHEAD = 2
"""Batches whose mels are read and converted by a thread while the towers work on one."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunFiles:
    """What a run keeps beside its model: its states, and event files for TensorBoard."""

    states: StateFolder
    tensorboard: Path


def train(
    objective: Objective,
    data: TrackData,
    sampler: Sampler,
    validate: Callable[[], float],
    config: TrainingConfig,
    epochs: int,
    files: RunFiles | None = None,
) -> TrainingResult:
    """Trains for at most `epochs`, stopping after `config.patience` without a better validation Recall@10.

    The best epoch is chosen among those trained, epoch 0 excepted: a stage's row in the tables shows what its own
    training did, even where that is harm. With `files`, a run that was killed goes on from its last state.

    Raises:
        UserError: a loss that isn't finite; out of memory.
        SystemExit: SIGINT or SIGTERM, after the state has been saved.
    """
    steps_per_epoch = -(-sampler.steps_per_epoch // config.gradient_accumulation)
    run = start_run(objective, config, epochs * steps_per_epoch)
    trainer = _Trainer(run, data, sampler, config, epochs, files)
    with (
        telling_what_fits(config, trainer.fits if distributed.world_size() == 1 else None),
        trainer.ready(),
        noted_signals() if files else contextlib.nullcontext(Stop()) as stop,
    ):
        if not run.progress.curve:
            objective.prepare(data)
            run.progress.curve.append(EpochRecord(epoch=0, valid_recall_at_10=validate()))
            run.keep_best()
            trainer.watch.epoch(run.progress.curve[0], step=0)
        while not trainer.is_over():
            trainer.train_epoch(stop)
            trainer.end_epoch(validate(), stop)
    return TrainingResult(run.progress.curve, run.progress.best_epoch, run.best_state)


class _Trainer:
    """The loop's steps over one run."""

    def __init__(
        self,
        run: Run,
        data: TrackData,
        sampler: Sampler,
        config: TrainingConfig,
        epochs: int,
        files: RunFiles | None,
    ) -> None:
        self.run, self.data, self.sampler, self.config, self.epochs = run, data, sampler, config, epochs
        self.states = files.states if files else None
        tensorboard = files.tensorboard if files and distributed.is_main() else None
        self.watch = Watch(tensorboard, sampler.steps_per_epoch, epochs)
        self.last_save = time.monotonic()

    @contextlib.contextmanager
    def ready(self) -> Iterator[None]:
        """Goes on from the last state, if there is one, with the event files open."""
        if self.states is not None:
            with distributed.together():
                name = self.states.latest() if distributed.is_main() else None
            if name := distributed.broadcast(name):
                with distributed.together():
                    self.run.restore(self.states.load(name))
                place = self.run.progress
                logger.info("going on from epoch %d, batch %d", place.epoch, place.draws)
        with self.watch.running(self.run.progress.step):
            yield

    def is_over(self) -> bool:
        """After the last epoch, or `patience` epochs without a better one."""
        progress, patience = self.run.progress, self.config.patience
        trained = len(progress.curve) - 1
        if trained < self.epochs and patience is not None and trained - progress.best_epoch >= patience:
            logger.info("no better epoch since %d: stopping early", progress.best_epoch)
            return True
        return trained >= self.epochs

    def train_epoch(self, stop: Stop) -> None:
        """From the batch where the run is to the epoch's last one."""
        progress = self.run.progress
        self.run.objective.train()
        data = self.data.with_drawn_clips(self.config.seed, progress.epoch)
        drawn = made_ahead(
            self.sampler.epoch(progress.epoch, progress.draws), functools.partial(self._inputs, data=data), AHEAD
        )
        shown = bar(
            self.sampler.steps_per_epoch,
            "batch",
            f"epoch {progress.epoch}",
            is_wanted=distributed.is_main(),
            initial=progress.draws,
            mininterval=5,
            leave=False,
        )
        started = time.monotonic()
        with shown, contextlib.closing(drawn):
            while group := list(islice(drawn, self.config.gradient_accumulation)):
                losses = self._step(group, data)
                progress.seconds += time.monotonic() - started
                self.watch.step(progress, losses, self.run.learning_rate)
                shown.update(len(group))
                self._save_where_due(stop)
                started = time.monotonic()

    def _inputs(self, draw: Draw, data: TrackData) -> TrackBatch:
        """This process's share of a draw's inputs, where a copy to a GPU need not wait for them."""
        batch = data.batch(draw.tracks, distributed.rank(), distributed.world_size())
        return batch.pinned() if self.run.objective.model.device.type == "cuda" else batch

    def _step(self, group: list[tuple[Draw, TrackBatch]], data: TrackData) -> dict[str, float]:
        """One optimiser step on the mean gradient of a group of batches. Returns the last batch's losses."""
        run = self.run
        run.optimizer.zero_grad(set_to_none=True)
        values: dict[str, float] = {}
        for number, (draw, inputs) in enumerate(group, start=1):
            with contextlib.nullcontext() if number == len(group) else run.unsynced():
                batch = inputs.with_hidden_tokens(self.config.token_dropout).to(run.objective.model.device)
                done = run.progress.epoch - 1 + run.progress.draws / self.sampler.steps_per_epoch
                losses = run.forward(draw, batch, done)
                loss = weighted_mean(losses, run.objective.loss_weights)
                run.scaler.scale(loss / len(group)).backward()
            values = {name: value.item() for name, value in losses.items()}
            place = f"epoch {run.progress.epoch}, batch {run.progress.draws + 1}"
            check_losses(values, draw.tracks, data, place)
            run.progress.count(values, len(draw.tracks))
        run.step()
        return values

    def fits(self, batch_size: int) -> bool:
        """Whether a step of so many pairs goes through, once the run is lost: it changes the weights."""
        run = self.run
        run.optimizer.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        draw = next(replace(self.sampler, batch_size=batch_size).epoch(1))
        try:
            losses = run.objective(draw, self.data.batch(draw.tracks).to(run.objective.model.device), 0.0)
            weighted_mean(losses, run.objective.loss_weights).backward()
            run.optimizer.step()
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            clear_frames(error.__traceback__)
            return False
        return True

    def end_epoch(self, valid_recall_at_10: float, stop: Stop) -> None:
        """Puts the epoch on the curve, keeps its weights where they are the best, saves."""
        progress = self.run.progress
        record = progress.end_epoch(valid_recall_at_10, self.run.objective.loss_weights)
        self.watch.epoch(record, progress.step)
        if (
            not progress.best_epoch
            or record.valid_recall_at_10 > progress.curve[progress.best_epoch].valid_recall_at_10
        ):
            progress.best_epoch = record.epoch
            self.run.keep_best()
        self._save()
        self._leave(distributed.all_reduce_max(stop.signal)[0])

    def _save_where_due(self, stop: Stop) -> None:
        """Saves every so many steps or minutes, and before it leaves on a signal."""
        if self.states is None:
            return
        every = self.config.save_every_steps
        due = time.monotonic() - self.last_save > 60 * self.config.save_every_minutes
        due = due or (every is not None and self.run.progress.step % every == 0)
        signal, due_anywhere = distributed.all_reduce_max(stop.signal, int(due))
        if signal or due_anywhere:
            self._save()
        self._leave(signal)

    def _leave(self, signal: int) -> None:
        if signal:
            logger.info("stopped by signal %d, state saved: the same command goes on from here", signal)
            raise SystemExit(128 + signal)

    def _save(self) -> None:
        """Every process hands over its part, the main one writes."""
        if self.states is None:
            return
        state = self.run.state()
        if distributed.is_main():
            self.states.save(self.run.progress.epoch, self.run.progress.draws, state)
        self.last_save = time.monotonic()
