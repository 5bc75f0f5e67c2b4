"""One run's moving parts, and how they become a state and come back from it."""

from __future__ import annotations

import contextlib
import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

from larp_core.config import TrainingConfig
from larp_core.training import distributed
from larp_core.training.objective import Objective
from larp_core.training.records import RunProgress
from larp_core.training.schedule import cosine_with_warmup
from larp_core.training.state import State


@dataclass
class Run:
    """What changes while training goes on.

    Attributes:
        forward: the objective, wrapped for several processes where there are.
        best_state: the model's weights after the best epoch so far.
    """

    objective: Objective
    forward: nn.Module
    optimizer: Adam
    scheduler: LambdaLR
    scaler: torch.amp.GradScaler
    accelerator: Accelerator
    progress: RunProgress = field(default_factory=RunProgress)
    best_state: dict[str, Tensor] = field(default_factory=dict)

    def unsynced(self) -> contextlib.AbstractContextManager[Any]:
        """Gradients of a batch within are kept to this process until the step's last batch."""
        return self.accelerator.no_sync(self.forward)

    @property
    def learning_rate(self) -> float:
        return float(self.scheduler.get_last_lr()[0])

    def step(self) -> None:
        """One step of the optimiser, and of what follows it. Where fp16 has overflowed the step is passed over, and
        taken up at a smaller scale by the next batch."""
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.scaler.get_scale() >= scale:
            self.scheduler.step()
        self.objective.follow()
        self.progress.step += 1

    def keep_best(self) -> None:
        self.best_state = copy.deepcopy(self.objective.model.state_dict())

    def state(self) -> State:
        """Everything that the rest of the run depends on. Every process takes part: each has its own random numbers.

        The sampler needs no tensor: its place is the epoch and the draws taken, of which the seed makes the rest.
        """
        tensors = {f"objective.{name}": tensor for name, tensor in self.objective.resumable().items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best_state.items()}
        tensors |= {f"random.{name}": distributed.all_gather(numbers) for name, numbers in _random_states().items()}
        scheduler = {name: value for name, value in self.scheduler.state_dict().items() if name != "lr_lambdas"}
        values = {"progress": self.progress.as_dict(), "scheduler": scheduler, "scaler": self.scaler.state_dict()}
        return State(tensors, values)

    def restore(self, state: State) -> None:
        """Puts a state back, to the bit."""
        parts: dict[str, dict[str, Tensor]] = {"objective": {}, "optimizer": {}, "best": {}, "random": {}}
        for name, tensor in state.tensors.items():
            part, rest = name.split(".", 1)
            parts[part][rest] = tensor
        self.objective.load_resumable(parts["objective"])
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts["optimizer"].items():
            index, moment = name.split(".")
            moments.setdefault(int(index), {})[moment] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.scheduler.load_state_dict(state.values["scheduler"] | {"lr_lambdas": [None]})
        for group, rate in zip(self.optimizer.param_groups, self.scheduler.get_last_lr(), strict=True):
            group["lr"] = rate
        self.scaler.load_state_dict(state.values["scaler"])
        self.best_state = {name: tensor.to(self.objective.model.device) for name, tensor in parts["best"].items()}
        self.progress = RunProgress.from_dict(state.values["progress"])
        _restore_random({name: numbers[distributed.rank()] for name, numbers in parts["random"].items()})


def start_run(objective: Objective, config: TrainingConfig, total_steps: int) -> Run:
    """A run before its first step."""
    accelerator = distributed.start(config.device)
    parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    optimizer = Adam(
        parameters,
        lr=config.learning_rate,
        betas=config.adam_betas,
        weight_decay=config.weight_decay,
        fused=config.fused_adam or None,
    )
    scheduler = LambdaLR(optimizer, cosine_with_warmup(config.warmup_steps, total_steps))
    scaler = torch.amp.GradScaler(objective.model.device.type, enabled=config.precision == "fp16")
    return Run(objective, accelerator.prepare_model(objective), optimizer, scheduler, scaler, accelerator)


def _random_states() -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _restore_random(states: dict[str, Any]) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
