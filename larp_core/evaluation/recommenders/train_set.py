"""What learned recommenders learn from: train playlists x train tracks that have a vector, as dense indices.

Letters of shapes: T train tracks, P train playlists, E pairs, D width of the vectors, F width of the factors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from larp_core.evaluation.ranking import rows_of
from larp_core.evaluation.recommenders.recommender import Inputs
from larp_core.runtime.errors import UserError


@dataclass(frozen=True)
class TrainSet:
    """Tracks and playlists with at least one pair.

    Attributes:
        content: float32 [T, D], standardised by the mean and deviation of all train tracks' vectors.
        playlist_content: float32 [P, D], the mean of a playlist's tracks (LARP equation 12).
        playlists, tracks: int64 [E], distinct pairs, ascending.
        track_factors, playlist_factors: float32 [T, F], [P, F] of WMF.
    """

    content: np.ndarray
    playlist_content: np.ndarray
    playlists: np.ndarray
    tracks: np.ndarray
    track_factors: np.ndarray
    playlist_factors: np.ndarray

    @property
    def num_tracks(self) -> int:
        return len(self.content)

    @property
    def num_playlists(self) -> int:
        return len(self.playlist_content)

    def is_pair(self, playlists: np.ndarray, tracks: np.ndarray) -> np.ndarray:
        """Whether each track stands in each playlist: bool [B, N] for playlists [B] and tracks [N]."""
        distinct, place = np.unique(tracks, return_inverse=True)
        starts, ends = (np.searchsorted(self.playlists, playlists, side=side) for side in ("left", "right"))
        sizes = ends - starts
        rows = np.repeat(np.arange(len(playlists)), sizes)
        own = self.tracks[np.arange(len(rows)) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)]
        at = np.minimum(np.searchsorted(distinct, own), len(distinct) - 1)
        is_wanted = distinct[at] == own
        found = np.zeros((len(playlists), len(distinct)), bool)
        found[rows[is_wanted], at[is_wanted]] = True
        return found[:, place]

    def batches(self, rng: np.random.Generator, size: int, most_pairs: int) -> Iterator[np.ndarray]:
        """One epoch: each pair once in random order, or `most_pairs` of them; indices int64 [at most size]."""
        order = rng.permutation(len(self.playlists))[:most_pairs]
        for start in range(0, len(order), size):
            yield order[start : start + size]


def standardised(inputs: Inputs) -> np.ndarray:
    """All vectors float32 [M, D] less the train tracks' mean, over their deviation; what never varies there is zero.

    Encoders come in all scales (decibels, unit vectors), and one learning rate must fit them all.

    Raises:
        UserError: no train track has a vector.
    """
    if not inputs.is_train.any():
        raise UserError("no train track has a vector: DropoutNet and CLCRec have nothing to learn from")
    train = inputs.vectors[inputs.is_train].astype(np.float64)
    deviation = train.std(axis=0)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    return ((inputs.vectors - train.mean(axis=0)) * scale).astype(np.float32)


def build_train_set(inputs: Inputs) -> TrainSet:
    """Raises UserError where no train playlist has a track with a vector."""
    rows = rows_of(inputs.track_ids, inputs.train.tracks)
    has_vector = rows >= 0
    playlist_ids, playlists = np.unique(inputs.train.playlists[has_vector], return_inverse=True)
    used_rows, tracks = np.unique(rows[has_vector], return_inverse=True)
    if len(playlists) == 0:
        raise UserError("no train playlist holds a track with a vector: DropoutNet and CLCRec cannot learn")
    order = np.lexsort((tracks, playlists))
    playlists, tracks = playlists[order], tracks[order]
    content = standardised(inputs)[used_rows]
    starts = np.searchsorted(playlists, np.arange(len(playlist_ids)))
    sizes = np.bincount(playlists)[:, None]
    return TrainSet(
        content,
        np.add.reduceat(content[tracks], starts, axis=0) / sizes.astype(np.float32),
        playlists,
        tracks,
        inputs.factors.tracks_of(inputs.track_ids[used_rows]),
        inputs.factors.playlists_of(playlist_ids),
    )
