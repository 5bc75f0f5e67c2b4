"""How the parts of a hybrid are weighed: a conditional logit over standardised scores, fitted on validation playlists.

The chance that a playlist goes on with one of its candidates is the softmax, over all its candidates, of a weighted sum
of the parts (McFadden 1974; with one weight a part there is little to overfit). No part knows which tracks are targets.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from larp_core.evaluation.holdouts import Holdouts
from larp_core.evaluation.ranking import ScoreChunk, rows_of
from larp_core.runtime.hashing import hash_ids

RIDGE = 10.0
"""Penalty on squared weights, in playlists: it counts as much less as there are more of them."""
MAX_PLAYLISTS = 300
"""A handful of weights needs no more; all candidates of each are held in memory."""
SCORE_DECIMALS = 9


def standardised(scores: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Each playlist's scores [rows, N] with mean 0 and deviation 1 over its candidates, its seeds not counted; zeros
    where all are alike."""
    counts = np.ones_like(scores)
    counts[rows, columns] = 0.0
    number = np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    centred = scores - (scores * counts).sum(axis=1, keepdims=True) / number
    deviation = np.sqrt((centred**2 * counts).sum(axis=1, keepdims=True) / number)
    return np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 1e-9)


def weighted(parts: Sequence[ScoreChunk], weights: np.ndarray) -> ScoreChunk:
    """The hybrid's score: the weighted sum of the standardised parts."""

    def score(rows: np.ndarray, columns: np.ndarray, num_rows: int) -> np.ndarray:
        total = sum(
            weight * standardised(part(rows, columns, num_rows), rows, columns)
            for part, weight in zip(parts, weights.tolist(), strict=True)
        )
        return np.round(np.asarray(total), SCORE_DECIMALS)

    return score


def fit_weights(parts: Sequence[ScoreChunk], holdouts: Holdouts, ridge: float = RIDGE) -> np.ndarray:
    """One weight a part, float64 [K]: the least mean, over playlists, of the targets' mean negative log probability,
    plus ridge / (2 P) times the sum of squares. Convex, so the same for the same data. Of more than `MAX_PLAYLISTS`
    playlists those count whose ids have the lowest hashes."""
    from scipy.optimize import minimize

    playlists = [_playlist(parts, holdouts, row) for row in _chosen(holdouts)]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        total, slope = ridge / 2 * float(weights @ weights), ridge * weights
        for features, is_target in playlists:
            logits = features @ weights
            logits -= logits.max()
            chances = np.exp(logits)
            chances /= chances.sum()
            total -= float(np.log(chances[is_target]).mean())
            slope = slope - features[is_target].mean(axis=0) + chances @ features
        return total / len(playlists), slope / len(playlists)

    return np.asarray(minimize(loss, np.zeros(len(parts)), jac=True, method="L-BFGS-B").x)


def _chosen(holdouts: Holdouts) -> np.ndarray:
    """Rows of the playlists that have a seed, at most `MAX_PLAYLISTS`, ascending."""
    seeded = np.flatnonzero([len(seeds) > 0 for seeds in holdouts.seeds])
    hashes = hash_ids(map(str, holdouts.playlist_ids[seeded].tolist()), 0, "playlists of a fit")
    return np.sort(seeded[np.argsort(hashes, kind="stable")[:MAX_PLAYLISTS]])


def _playlist(parts: Sequence[ScoreChunk], holdouts: Holdouts, row: int) -> tuple[np.ndarray, np.ndarray]:
    """A playlist's candidates but its seeds: their standardised parts float64 [N, K], and which are targets."""
    candidates = holdouts.in_hash_order
    columns = rows_of(candidates, holdouts.seeds[row])
    rows = np.zeros(len(columns), np.int64)
    features = np.stack([standardised(part(rows, columns, 1), rows, columns)[0] for part in parts], axis=1)
    is_target = np.isin(candidates, holdouts.targets[row])
    left = np.delete(np.arange(len(candidates)), columns)
    return features[left], is_target[left]
