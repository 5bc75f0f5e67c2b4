"""DropoutNet (Volkovs, Yu and Poutanen, NeurIPS 2017) as LARP's appendix B.2 uses it.

Two MLPs map content and WMF factors of a playlist and of a track to vectors whose inner product is to equal the WMF
score. Some rows of a step have their factors hidden, so that the MLPs learn to do with the content alone. A hidden row
has the mean factors of its side, just as a cold one has in testing (equation 27): playlists those of playlists, tracks
those of tracks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from larp_core.config.recommenders import DropoutNetConfig, FittingConfig
from larp_core.evaluation.names import DROPOUTNET
from larp_core.evaluation.recommenders.learned import Batch, ColdStartModel, fit_model, mlp
from larp_core.evaluation.recommenders.recommender import Inputs, Ranker
from larp_core.evaluation.recommenders.train_set import TrainSet


@dataclass(frozen=True)
class DropoutNet:
    config: DropoutNetConfig
    fitting: FittingConfig
    name: str = DROPOUTNET
    is_seeded: bool = True

    def fit(self, inputs: Inputs, seed: int) -> Ranker:
        return fit_model(self._build, inputs, self.fitting, seed)

    def _build(self, train: TrainSet) -> tuple[ColdStartModel, torch.optim.Optimizer]:
        config = self.config
        model = DropoutNetModel(train, config)
        if config.optimiser == "adam":
            return model, torch.optim.Adam(model.parameters(), config.learning_rate, weight_decay=config.l2)
        return model, torch.optim.SGD(
            model.parameters(), config.learning_rate, momentum=config.momentum, weight_decay=config.l2
        )


class DropoutNetModel(ColdStartModel):
    """Two towers of three layers: [content D + factors F] -> hidden -> hidden -> width."""

    def __init__(self, train: TrainSet, config: DropoutNetConfig) -> None:
        super().__init__()
        self.config = config
        self.sides = {
            "playlist": (torch.from_numpy(train.playlist_content), torch.from_numpy(train.playlist_factors)),
            "track": (torch.from_numpy(train.content), torch.from_numpy(train.track_factors)),
        }
        self.means = {side: factors.mean(dim=0) for side, (_, factors) in self.sides.items()}
        width = train.content.shape[1] + train.track_factors.shape[1]
        widths = (width, config.hidden, config.hidden, config.width)
        self.towers = nn.ModuleDict({side: mlp(*widths, activation=nn.Tanh) for side in self.sides})

    def loss(self, batch: Batch) -> Tensor:
        """Mean squared error over all pairs of the batch's playlists [B] with its tracks and the others [B + N]."""
        playlists = torch.from_numpy(batch.playlists)
        tracks = torch.cat([torch.from_numpy(batch.tracks), torch.from_numpy(batch.others)])
        wanted = self.sides["playlist"][1][playlists] @ self.sides["track"][1][tracks].T
        given = self._tower("playlist", playlists) @ self._tower("track", tracks).T
        return nn.functional.mse_loss(given, wanted)

    def playlists_from_content(self, content_BD: Tensor) -> Tensor:
        return self._cold("playlist", content_BD)

    def tracks_from_content(self, content_BD: Tensor) -> Tensor:
        return self._cold("track", content_BD)

    def _tower(self, side: str, rows: Tensor) -> Tensor:
        """Warm rows [R], a share of them with hidden factors: [R, width]."""
        content, factors = (table[rows] for table in self.sides[side])
        hidden = torch.rand(len(rows), 1) < self.config.feature_dropout
        return self.towers[side](torch.cat([content, torch.where(hidden, self.means[side], factors)], dim=1))

    def _cold(self, side: str, content_BD: Tensor) -> Tensor:
        """Equation 28."""
        factors = self.means[side].expand(len(content_BD), -1)
        return self.towers[side](torch.cat([content_BD, factors], dim=1))
