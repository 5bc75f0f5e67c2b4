"""CO-Playlist as a stage of the loop: NT-Xent over pairs of tracks that share a playlist, by their sound alone."""

from __future__ import annotations

import torch
from torch import Tensor

from larp_core.config import TrainingConfig
from larp_core.data.train_graph import TrainGraph
from larp_core.losses.nt_xent import nt_xent
from larp_core.model.co_playlist import CoPlaylistModel
from larp_core.training.encode import autocast, encode
from larp_core.training.objective import Objective
from larp_core.training.sampler import Draw
from larp_core.training.track_data import TrackBatch


class CoPlaylistObjective(Objective):
    """The loss of a `CoPlaylistModel`. Where the recipe masks known false negatives in LARP's queue, so does this."""

    model: CoPlaylistModel

    def __init__(self, model: CoPlaylistModel, graph: TrainGraph, temperature: float, training: TrainingConfig) -> None:
        super().__init__(model, ("nt_xent",), temperature, training)
        self.graph = graph

    def forward(self, draw: Draw, batch: TrackBatch, epoch_progress: float) -> dict[str, Tensor]:
        config, device = self.training_config, self.model.device
        with autocast(device, config.precision):
            features = encode(self.model, batch)
            vectors = self.model.contrasted(features.audio)
        related = None
        if config.queue_positives == "masked":
            related = torch.from_numpy(self.graph.co_occurs(draw.tracks, draw.tracks)).to(device)
        tracks, temperature = torch.from_numpy(draw.tracks).to(device), self.fixed_temperature
        return {
            "nt_xent": nt_xent(vectors, features.has_audio, tracks, temperature, related, config.label_smoothing),
        }
