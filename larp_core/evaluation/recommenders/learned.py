"""The loop that every learned recommender runs through, and how its model ranks tracks nobody has played.

Letters of shapes: B pairs of a batch, N random tracks beside them, D width of the vectors, d of what the model gives.
"""

from __future__ import annotations

import copy
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from larp_core.config.recommenders import FittingConfig
from larp_core.evaluation.holdouts import Holdouts, hash_order
from larp_core.evaluation.metrics import evaluate_ranking
from larp_core.evaluation.ranking import rank_by, rows_of
from larp_core.evaluation.recommenders.recommender import Inputs, Ranker
from larp_core.evaluation.recommenders.train_set import TrainSet, build_train_set, standardised
from larp_core.runtime.errors import UserError

VALIDATION_K = 10
SCORE_DECIMALS = 6
"""Of single precision, which is what the models compute in."""


@dataclass(frozen=True)
class Batch:
    """One step's dense indices, int64: pair i is (playlists[i], tracks[i]), [B]; `others` [N] are random tracks."""

    playlists: np.ndarray
    tracks: np.ndarray
    others: np.ndarray


class ColdStartModel(nn.Module, ABC):
    """What scores a pair by an inner product, and can do so from content alone."""

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """A scalar."""

    @abstractmethod
    def playlists_from_content(self, content_BD: Tensor) -> Tensor:
        """Mean vectors of seeds -> [B, d]."""

    @abstractmethod
    def tracks_from_content(self, content_BD: Tensor) -> Tensor:
        """Vectors of tracks -> [B, d]."""


Build = Callable[[TrainSet], tuple[ColdStartModel, torch.optim.Optimizer]]


def fit_model(build: Build, inputs: Inputs, fitting: FittingConfig, seed: int) -> Ranker:
    """Trains until the validation playlists' Recall@10 has not grown for `patience` epochs; keeps the best epoch.

    Where no validation playlist has a target the last epoch is kept.

    Raises:
        UserError: nothing to learn from, or a loss that is not finite before any epoch has ended.
    """
    train, content = build_train_set(inputs), torch.from_numpy(standardised(inputs))
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, optimiser = build(train)
        best, best_state, num_worse = -1.0, None, 0
        for _ in range(fitting.epochs):
            if not _run_epoch(model, optimiser, train, fitting, rng):
                break
            recall = _validation_recall(model, inputs, content)
            num_worse = 0 if recall is None or recall > best else num_worse + 1
            if num_worse == 0:
                best, best_state = recall or 0.0, copy.deepcopy(model.state_dict())
            if num_worse > fitting.patience:
                break
    if best_state is None:
        raise UserError("the loss of a recommender is not finite in its first epoch; lower its learning rate")
    model.load_state_dict(best_state)
    return cold_ranker(model, inputs.track_ids, content)


def cold_ranker(model: ColdStartModel, track_ids: np.ndarray, content: Tensor) -> Ranker:
    """Ranks by the inner product of playlist and track, both from content alone; `content` float32 [M, D].

    As for ItemKNN candidates without a vector come last, seeds without one are skipped, a playlist none of whose seeds
    has one gets hash order, and scores are rounded, as a share of the largest possible.
    """
    model.eval()
    with torch.no_grad():
        items = _within_unit_ball(model.tracks_from_content(content).double().numpy())

    def rank(holdouts: Holdouts, k: int) -> np.ndarray:
        candidates = hash_order(holdouts.candidates)
        rows = rows_of(track_ids, candidates)
        known = rows >= 0
        table = np.zeros((len(candidates), items.shape[1]))
        table[known] = items[rows[known]]

        def score(playlist_rows: np.ndarray, columns: np.ndarray, num_rows: int) -> np.ndarray:
            has_vector = known[columns]
            seeds, owners = rows[columns[has_vector]], playlist_rows[has_vector]
            means = torch.zeros(num_rows, content.shape[1]).index_add_(0, torch.from_numpy(owners), content[seeds])
            counts = np.bincount(owners, minlength=num_rows)
            means /= torch.from_numpy(np.maximum(counts, 1))[:, None]
            with torch.no_grad():
                playlists = model.playlists_from_content(means).double().numpy()
            lengths = np.linalg.norm(playlists, axis=1, keepdims=True)
            scores = np.round(playlists / np.maximum(lengths, np.finfo(float).tiny) @ table.T, SCORE_DECIMALS)
            scores[:, ~known] = -2.0
            scores[counts == 0] = 0.0
            return scores

        return rank_by(holdouts, candidates, score, k)

    return rank


def mlp(*widths: int, activation: type[nn.Module]) -> nn.Sequential:
    """Linear layers from width to width with the activation between them."""
    layers: list[nn.Module] = []
    for inner, outer in itertools.pairwise(widths):
        layers += [nn.Linear(inner, outer), activation()]
    return nn.Sequential(*layers[:-1])


def _run_epoch(
    model: ColdStartModel,
    optimiser: torch.optim.Optimizer,
    train: TrainSet,
    fitting: FittingConfig,
    rng: np.random.Generator,
) -> bool:
    """Whether all losses were finite."""
    model.train()
    for pairs in train.batches(rng, fitting.batch_size, fitting.most_pairs):
        others = rng.integers(train.num_tracks, size=fitting.num_negatives)
        loss = model.loss(Batch(train.playlists[pairs], train.tracks[pairs], others))
        if not torch.isfinite(loss):
            return False
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return True


def _validation_recall(model: ColdStartModel, inputs: Inputs, content: Tensor) -> float | None:
    if inputs.valid is None:
        return None
    ranked = cold_ranker(model, inputs.track_ids, content)(inputs.valid, VALIDATION_K)
    return float(evaluate_ranking(ranked, inputs.valid.targets, (VALIDATION_K,))["recall"].mean())


def _within_unit_ball(vectors: np.ndarray) -> np.ndarray:
    longest = np.linalg.norm(vectors, axis=1).max(initial=0.0)
    return vectors / longest if longest > 0 else vectors
