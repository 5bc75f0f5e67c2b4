"""A stage as "batch -> dict of losses". The loop does not know which stage it runs."""

from __future__ import annotations

import abc
import copy
import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from larp_core.config import ModelConfig, TrainingConfig
from larp_core.config.stages import Stage
from larp_core.data.train_graph import TrainGraph
from larp_core.losses.clap import clap_contrast
from larp_core.losses.encoded import EncodedBatch, Features, LossOptions
from larp_core.losses.hard_negatives import TextHardness
from larp_core.losses.tpc import track_playlist_contrast
from larp_core.losses.ttc import track_track_contrast
from larp_core.losses.weighted import checked_weights
from larp_core.losses.wtc import within_track_contrast
from larp_core.model.fusion import MeanFusion
from larp_core.model.modeling_larp import LarpModel
from larp_core.model.momentum import FeatureQueue, MomentumEncoder
from larp_core.training.encode import TrackEncoder, autocast, encode, encode_all
from larp_core.training.pruning import PairPruning
from larp_core.training.sampler import Draw
from larp_core.training.track_data import TrackBatch, TrackData

TABLES = ("audio", "text", "has_audio", "has_text")
TEMPERATURES = (0.001, 0.5)
"""The range of a learned temperature, as in the published code."""

OF_THE_MODEL = "fuse."
"""Names of the playlist fusion in the objective's state, where it stands as a part of the model already."""

GraphRelation = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Objective(nn.Module, abc.ABC):
    """What the loop trains. Called, it returns the losses of a batch.

    Raises:
        UserError: weights of losses that make no sense.
    """

    def __init__(
        self, model: TrackEncoder, losses: tuple[str, ...], fixed_temperature: float, training: TrainingConfig
    ) -> None:
        super().__init__()
        self.model = model
        self.fixed_temperature = fixed_temperature
        self.training_config = training
        self.loss_weights = checked_weights(training.loss_weights, losses)

    @property
    def temperature(self) -> Tensor | float:
        """The recipe's, or the model's own where it learns one."""
        return self.fixed_temperature if self.model.temperature is None else self.model.temperature

    def prepare(self, data: TrackData) -> None:
        """Before the first step of a run that isn't resumed."""

    @abc.abstractmethod
    def forward(self, draw: Draw, batch: TrackBatch, epoch_progress: float) -> dict[str, Tensor]:
        """The stage's losses by name.

        Args:
            batch: inputs of `draw.tracks`, or this process's share of them.
            epoch_progress: epochs done so far, with fractions, for the ramp of soft labels.
        """

    @torch.no_grad()
    def follow(self) -> None:
        """After each optimiser step: a learned temperature is put back into its range."""
        if self.model.temperature is not None:
            self.model.temperature.clamp_(*TEMPERATURES)

    def resumable(self) -> dict[str, Tensor]:
        """Every tensor that a run goes on from, by name."""
        return self.state_dict()

    def load_resumable(self, tensors: dict[str, Tensor]) -> None:
        """Puts `resumable` back."""
        self.load_state_dict(tensors)

    def checkpoint_layers(self) -> None:
        """Has the towers' layers computed again in the backward pass, which spares their activations."""
        again = functools.partial(checkpoint, use_reentrant=False)
        for layer in self.model.modules():
            if isinstance(layer, GradientCheckpointingLayer):
                layer.gradient_checkpointing = True
                layer._gradient_checkpointing_func = again  # type: ignore[assignment]


class ClapObjective(Objective):
    """CLAP-FT: the towers alone under symmetric InfoNCE."""

    model: LarpModel

    def __init__(self, model: LarpModel, temperature: float, training: TrainingConfig) -> None:
        super().__init__(model, ("clap",), temperature, training)

    def forward(self, draw: Draw, batch: TrackBatch, epoch_progress: float) -> dict[str, Tensor]:
        tracks = torch.from_numpy(draw.tracks).to(self.model.device)
        with autocast(self.model.device, self.training_config.precision):
            features = encode(self.model, batch)
        return {"clap": clap_contrast(features, tracks, self.temperature, self.training_config.label_smoothing)}


class LarpObjective(Objective):
    """LARP's losses with their momentum encoder, queue and, in stage 3, lookup tables.

    Attributes:
        tables: latest features of every train track [N, D], not differentiated (paper, section 3.2.3).
        pruning: pairs of O that are no positives, if any.
    """

    model: LarpModel
    tables: Features

    def __init__(
        self,
        model: LarpModel,
        stage: Stage,
        graph: TrainGraph,
        config: ModelConfig,
        training: TrainingConfig,
        pruning: PairPruning | None = None,
    ) -> None:
        super().__init__(model, stage.losses, config.temperature, training)
        self.stage = stage
        self.graph = graph
        self.pruning = pruning
        self.momentum = MomentumEncoder(model, config.momentum)
        self.queue = FeatureQueue(config.queue_size, config.projection)
        self.fuse: nn.Module = model.playlist_fusion if stage.fusion == "attention" else MeanFusion()

    def prepare(self, data: TrackData) -> None:
        """First rows of the lookup tables: the stage's starting weights over every train track."""
        if "tpc" in self.stage.losses:
            self.tables = encode_all(self.model, data, self.training_config.precision, shared_out=True)

    def follow(self) -> None:
        super().follow()
        self.momentum.follow(self.model)

    def resumable(self) -> dict[str, Tensor]:
        """Model, momentum model, queue and tables."""
        tensors = {name: tensor for name, tensor in self.state_dict().items() if not name.startswith(OF_THE_MODEL)}
        if "tpc" in self.stage.losses:
            tensors |= {f"tables.{name}": getattr(self.tables, name) for name in TABLES}
        return tensors

    def load_resumable(self, tensors: dict[str, Tensor]) -> None:
        tables = {
            name: tensors[f"tables.{name}"].to(self.model.device) for name in TABLES if f"tables.{name}" in tensors
        }
        if tables:
            self.tables = Features(**tables)
        own = {name: tensor for name, tensor in tensors.items() if not name.startswith("tables.")}
        fusion = {f"{OF_THE_MODEL}{name}": tensor for name, tensor in self.fuse.state_dict().items()}
        self.load_state_dict(fusion | own)

    def forward(self, draw: Draw, batch: TrackBatch, epoch_progress: float) -> dict[str, Tensor]:
        with autocast(self.model.device, self.training_config.precision):
            online = encode(self.model, batch)
            with torch.no_grad():
                slow = encode(self.momentum.model, batch)
        step = self._encoded(draw, online, slow, epoch_progress)
        found: dict[str, Tensor] = {}
        if "wtc" in self.stage.losses:
            found["wtc"] = within_track_contrast(step)
        if "ttc" in self.stage.losses:
            found["ttc"] = track_track_contrast(step)
        if "tpc" in self.stage.losses:
            found["tpc"] = track_playlist_contrast(step, self._playlists(draw))
            self._update_tables(step.tracks, online)
        self.queue.push(slow.audio, slow.text, step.tracks, slow.has_audio, slow.has_text)
        return found

    def _encoded(self, draw: Draw, online: Features, slow: Features, epoch_progress: float) -> EncodedBatch:
        config, device = self.training_config, self.model.device
        ramp = min(1.0, epoch_progress / config.soft_label_warmup_epochs) if config.soft_label_warmup_epochs else 1.0
        return EncodedBatch(
            tracks=torch.from_numpy(draw.tracks).to(device),
            num_pairs=len(draw.playlists),
            online=online,
            keys=online if config.batch_keys == "online" else slow,
            momentum=slow,
            queue=copy.deepcopy(self.queue),  # it is filled anew before the backward pass, which may need the old one
            playlists=torch.from_numpy(draw.playlists).to(device),
            co_occurs=lambda left, right: self._relation(self.graph.co_occurs, left, right),
            contains=lambda left, right: self._relation(self.graph.contains, left, right),
            temperature=self.temperature,
            options=LossOptions(
                queue_positives=config.queue_positives,
                diagonal_targets=config.targets == "diagonal",
                soft_label_weight=config.soft_label_weight * ramp,
                label_smoothing=config.label_smoothing,
                mask_false_negatives=config.false_negatives == "masked",
                text=TextHardness(config.text_hardness, config.text_twins),
            ),
            keeps=None if self.pruning is None else functools.partial(self._relation, self.pruning.keeps),
        )

    def _relation(self, relation: GraphRelation, left: Tensor, right: Tensor) -> Tensor:
        """A relation of the graph as a tensor; empty queue slots are related to nothing."""
        found = relation(left.cpu().numpy(), right.cpu().numpy())
        return torch.from_numpy(np.ascontiguousarray(found)).to(left.device)

    def _playlists(self, draw: Draw) -> Features:
        """Each drawn playlist's audio and text vectors from the tables' rows of its neighbours (equation 6)."""
        neighbours = torch.from_numpy(draw.neighbours).to(self.model.device)
        rows, there = neighbours.clamp(min=0), neighbours >= 0
        tables = self.tables.filled()
        known = there & tables.has_audio[rows]
        audio, text = self.fuse(tables.audio[rows], known), self.fuse(tables.text[rows], known)
        return Features(audio, text, known.any(1), known.any(1))

    def _update_tables(self, tracks: Tensor, online: Features) -> None:
        self.tables.audio[tracks] = online.audio.detach().to(self.tables.audio.dtype)
        self.tables.text[tracks] = online.text.detach().to(self.tables.text.dtype)
