"""Weighted matrix factorisation of train playlists x train tracks (Hu, Koren and Volinsky, ICDM 2008).

Minimises sum over all pairs of c (r - p . s)^2 + l2 (|p|^2 + |s|^2), where r is one and c the observed weight for a
track that stands in a playlist, and r is zero and c is one for any other. `als` solves it with `implicit`, alternating
exact least squares; `sgd` is LARP's appendix B.2: momentum SGD on the observed pairs and as many drawn ones as set.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from larp_core.config.paths import DatasetPaths
from larp_core.config.recommenders import WmfConfig
from larp_core.evaluation.recommenders.factors import Factors, write_factors
from larp_core.evaluation.split_statistics import playlist_members
from larp_core.runtime.errors import UserError
from larp_core.runtime.report import Report

FIRST_DEVIATION = 0.1
"""Of the factors before training; smaller ones take SGD long to leave zero."""


def fit_wmf(paths: DatasetPaths, config: WmfConfig) -> Report:
    """Writes the factors of every train playlist and track that share a pair.

    Raises:
        UserError: no train playlist holds a train track.
    """
    members = playlist_members(paths).filter(pl.col("split") == "train").sort("playlist_id", "track_id")
    if members.is_empty():
        raise UserError(f"{paths.split_tracks}: no train playlist holds a train track; bring more playlists")
    factors = factorise(members["playlist_id"].to_numpy(), members["track_id"].to_numpy(), config)
    write_factors(factors, paths)
    observed, any_pair = mean_scores(factors, members)
    facts = {
        "solver": config.solver,
        "num_pairs": members.height,
        "num_playlists": len(factors.playlist_ids),
        "num_tracks": len(factors.track_ids),
        "mean_score_of_observed_pairs": round(observed, 4),
        "mean_score_of_all_pairs": round(any_pair, 4),
    }
    return Report(len(factors.playlist_ids) + len(factors.track_ids), facts=facts)


def factorise(playlist_ids: np.ndarray, track_ids: np.ndarray, config: WmfConfig) -> Factors:
    """Factors of distinct pairs (playlist_ids[i], track_ids[i]), int [E] each."""
    known_playlists, playlists = np.unique(playlist_ids, return_inverse=True)
    known_tracks, tracks = np.unique(track_ids, return_inverse=True)
    solve = als if config.solver == "als" else sgd
    factors = solve(playlists, tracks, (len(known_playlists), len(known_tracks)), config)
    return Factors(known_playlists, factors[0], known_tracks, factors[1])


def als(
    playlists: np.ndarray, tracks: np.ndarray, shape: tuple[int, int], config: WmfConfig
) -> tuple[np.ndarray, np.ndarray]:
    """By `implicit`, `config.epochs` sweeps: float32 [P, F], [T, F]."""
    from implicit.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix
    from threadpoolctl import threadpool_limits

    plays = csr_matrix((np.ones(len(playlists), np.float32), (playlists, tracks)), shape)
    with threadpool_limits(1, "blas"):  # implicit parallelises itself, and BLAS threads would fight with it
        model = AlternatingLeastSquares(
            factors=config.width,
            regularization=config.l2,
            alpha=config.observed_weight,
            iterations=config.epochs,
            random_state=config.seed,
            use_gpu=False,
            num_threads=1,
        )
        model.fit(plays, show_progress=False)
    return np.asarray(model.user_factors), np.asarray(model.item_factors)


def sgd(
    playlists: np.ndarray, tracks: np.ndarray, shape: tuple[int, int], config: WmfConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Momentum SGD over mini-batches, `config.epochs` passes over the observed pairs: float32 [P, F], [T, F]."""
    rng = np.random.default_rng(config.seed)
    factors = [rng.normal(0, FIRST_DEVIATION, (size, config.width)).astype(np.float32) for size in shape]
    velocities = [np.zeros_like(table) for table in factors]
    keys = np.sort(playlists.astype(np.int64) * shape[1] + tracks)
    for _ in range(config.epochs):
        order = rng.permutation(len(playlists))
        for start in range(0, len(order), config.batch_size):
            batch = order[start : start + config.batch_size]
            rows = [np.concatenate([playlists[batch], np.repeat(playlists[batch], config.num_negatives)])]
            drawn = rng.integers(shape[1], size=len(batch) * config.num_negatives)
            rows.append(np.concatenate([tracks[batch], drawn]))
            sgd_step(factors, velocities, rows, _is_observed(keys, rows, shape[1]), config)
    return factors[0], factors[1]


def sgd_step(
    factors: list[np.ndarray],
    velocities: list[np.ndarray],
    rows: list[np.ndarray],
    is_observed: np.ndarray,
    config: WmfConfig,
) -> None:
    """One step on pairs (rows[0][i], rows[1][i]), in place.

    Each pair's loss is c (r - p . s)^2 / 2 + l2 (|p|^2 + |s|^2) / 2. A row moves by the mean gradient of its pairs in
    the batch, so that a track in many playlists takes no longer steps than another; rows outside the batch stay.
    """
    p, s = factors[0][rows[0]], factors[1][rows[1]]
    weight = np.where(is_observed, config.observed_weight, 1.0).astype(np.float32)
    error = (weight * ((p * s).sum(axis=1) - is_observed))[:, None]
    gradients = [error * s + config.l2 * p, error * p + config.l2 * s]
    for table, velocity, own, gradient in zip(factors, velocities, rows, gradients, strict=True):
        touched, means = _row_means(own, gradient)
        velocity[touched] = config.momentum * velocity[touched] - config.learning_rate * means
        table[touched] += velocity[touched]


def mean_scores(factors: Factors, members: pl.DataFrame) -> tuple[float, float]:
    """Mean score of the observed pairs, and of all pairs: a factorisation that has learned nothing has them equal."""
    p = factors.playlists_of(members["playlist_id"].to_numpy())
    s = factors.tracks_of(members["track_id"].to_numpy())
    return float((p * s).sum(axis=1).mean()), float(factors.playlists.mean(axis=0) @ factors.tracks.mean(axis=0))


def _is_observed(keys: np.ndarray, rows: list[np.ndarray], num_tracks: int) -> np.ndarray:
    wanted = rows[0].astype(np.int64) * num_tracks + rows[1]
    return keys[np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)] == wanted


def _row_means(rows: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows [R] and the mean of `values` [B, F] over each one's places: [R, F]."""
    order = np.argsort(rows, kind="stable")
    touched, starts, counts = np.unique(rows[order], return_index=True, return_counts=True)
    return touched, np.add.reduceat(values[order], starts, axis=0) / counts[:, None].astype(values.dtype)
