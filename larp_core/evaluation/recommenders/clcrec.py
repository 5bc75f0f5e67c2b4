"""CLCRec (Wei et al., ACM MM 2021) as LARP's appendix B.3 uses it.

Playlists and tracks have free vectors z, and an MLP f maps a track's content into their space. The first contrast
draws a playlist to its tracks, each of which shows its z or, with the probability of replacement, its f(e); the second
draws f(e) to f(e) of another track of the playlist, the letter of equation 29, or to the z of the same track, as the
original does. A cold playlist is f of its seeds' mean, and cold tracks are f of their content (equation 30).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from larp_core.config.recommenders import ClcrecConfig, FittingConfig
from larp_core.evaluation.names import CLCREC
from larp_core.evaluation.recommenders.learned import Batch, ColdStartModel, fit_model, mlp
from larp_core.evaluation.recommenders.recommender import Inputs, Ranker
from larp_core.evaluation.recommenders.train_set import TrainSet

FIRST_DEVIATION = 0.1


@dataclass(frozen=True)
class Clcrec:
    config: ClcrecConfig
    fitting: FittingConfig
    name: str = CLCREC
    is_seeded: bool = True

    def fit(self, inputs: Inputs, seed: int) -> Ranker:
        return fit_model(self._build, inputs, self.fitting, seed)

    def _build(self, train: TrainSet) -> tuple[ColdStartModel, torch.optim.Optimizer]:
        model = ClcrecModel(train, self.config)
        return model, torch.optim.Adam(model.parameters(), self.config.learning_rate)


class ClcrecModel(ColdStartModel):
    """`playlists` [P, width] and `tracks` [T, width] are the free vectors, `encoder` is f."""

    def __init__(self, train: TrainSet, config: ClcrecConfig) -> None:
        super().__init__()
        self.train_set, self.config = train, config
        self.content = torch.from_numpy(train.content)
        self.playlists = nn.Parameter(torch.randn(train.num_playlists, config.width) * FIRST_DEVIATION)
        self.tracks = nn.Parameter(torch.randn(train.num_tracks, config.width) * FIRST_DEVIATION)
        self.encoder = mlp(train.content.shape[1], config.hidden, config.width, activation=nn.LeakyReLU)

    def loss(self, batch: Batch) -> Tensor:
        """Both contrasts and the L2 term; the others [N] are everyone's negatives, but where they are positives."""
        playlists = self.playlists[batch.playlists]
        rows = np.concatenate([batch.tracks, batch.others])
        free, content = self.tracks[rows], self.encoder(self.content[rows])
        size = len(batch.tracks)
        replaced = torch.rand(len(rows), 1) < self.config.replacement
        is_positive = torch.from_numpy(self.train_set.is_pair(batch.playlists, batch.others))
        interaction = self._contrast(playlists, torch.where(replaced, content, free), size, is_positive)
        length = (playlists.square().sum(dim=1).mean() + free.square().sum(dim=1).mean()) / 2
        return interaction + self._content_contrast(batch, free, content, is_positive) + self.config.l2 * length

    def playlists_from_content(self, content_BD: Tensor) -> Tensor:
        return self.encoder(content_BD)

    def tracks_from_content(self, content_BD: Tensor) -> Tensor:
        return self.encoder(content_BD)

    def _content_contrast(self, batch: Batch, free: Tensor, content: Tensor, is_positive: Tensor) -> Tensor:
        size = len(batch.tracks)
        if self.config.content_term == "embedding":
            is_same = torch.from_numpy(batch.tracks[:, None] == batch.others[None, :])
            return self._contrast(normalize(free[:size]), normalize(content), size, is_same)
        partners = self.encoder(self.content[self._partners(batch.playlists)])
        return self._contrast(normalize(partners), normalize(content), size, is_positive)

    def _partners(self, playlists: np.ndarray) -> np.ndarray:
        """A random track of each playlist [B]."""
        starts = np.searchsorted(self.train_set.playlists, playlists)
        ends = np.searchsorted(self.train_set.playlists, playlists, side="right")
        place = torch.rand(len(playlists), dtype=torch.float64).numpy()
        return self.train_set.tracks[starts + (place * (ends - starts)).astype(np.int64)]

    def _contrast(self, anchors: Tensor, keys: Tensor, size: int, is_positive: Tensor) -> Tensor:
        """InfoNCE of anchors [B, d] against their own key, of the first `size`, and the other keys as negatives."""
        own = (anchors * keys[:size]).sum(dim=1, keepdim=True)
        others = (anchors @ keys[size:].T).masked_fill(is_positive, -torch.inf)
        logits = torch.cat([own, others], dim=1) / self.config.temperature
        return cross_entropy(logits, torch.zeros(len(anchors), dtype=torch.int64))
