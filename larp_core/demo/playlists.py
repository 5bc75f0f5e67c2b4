"""Taste in the demo world: playlists and listeners drawn from the catalogue.

Each collection mixes a few themes (scenes, one mood of each in front), a few favoured artists and outliers. The
scenes are what stage 2 can learn and stage 1 cannot: which genres and moods are paired is in no sound and no word.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from larp_core.config import WorldConfig
from larp_core.demo.catalogue import Catalogue
from larp_core.demo.music import random_generator

FRONT_CELL_WEIGHT = 1.6
ANY_TRACK_WEIGHT = 0.004
"""Of a track outside all themes, beside 1 for one in a scene: a few even without outliers."""

FAVOURED_ARTISTS = (2, 5)
FAVOURED_ARTIST_BOOST = 6.0


@dataclass(frozen=True)
class Collection:
    """A playlist, or all that a listener likes: track indices in order, none twice, and the hidden scenes behind it."""

    tracks: tuple[int, ...]
    scenes: tuple[int, ...]
    num_outliers: int


def make_playlists(config: WorldConfig, catalogue: Catalogue) -> list[Collection]:
    """The `num_playlists` playlists of the MPD side of the world."""
    return _collections(config, catalogue, "playlist", config.num_playlists)


def make_listeners(config: WorldConfig, catalogue: Catalogue) -> list[Collection]:
    """The `num_listeners` listeners of the LFM side: same scenes, other people."""
    return _collections(config, catalogue, "listener", config.num_listeners)


def _collections(config: WorldConfig, catalogue: Catalogue, kind: str, number: int) -> list[Collection]:
    columns = TrackColumns.of(catalogue)
    return [sample_collection(config, columns, random_generator(kind, config.seed, index)) for index in range(number)]


@dataclass(frozen=True)
class TrackColumns:
    """The tracks' hidden attributes as arrays `[num_tracks]`."""

    scene: np.ndarray
    mood: np.ndarray
    artist: np.ndarray

    @staticmethod
    def of(catalogue: Catalogue) -> TrackColumns:
        rows = [(track.scene, track.mood, track.artist_index) for track in catalogue.tracks]
        return TrackColumns(*np.array(rows).T)


def sample_collection(config: WorldConfig, columns: TrackColumns, rng: np.random.Generator) -> Collection:
    """One collection: themes first, artists within them, then the outliers, then a shuffle."""
    length = collection_length(config, rng)
    num_outliers = int(rng.binomial(length, config.outlier_fraction))
    num_scenes = int(columns.scene.max()) + 1
    scenes = rng.choice(num_scenes, size=min(int(rng.integers(1, config.max_themes + 1)), num_scenes), replace=False)
    weights = np.full(columns.scene.size, ANY_TRACK_WEIGHT)
    for scene in scenes:
        front = rng.integers(int(columns.mood.max()) + 1)
        weights += (columns.scene == scene) * np.where(columns.mood == front, FRONT_CELL_WEIGHT, 1.0)
    favoured = _draw(rng, np.bincount(columns.artist, weights), int(rng.integers(*FAVOURED_ARTISTS, endpoint=True)))
    weights *= np.where(np.isin(columns.artist, favoured), FAVOURED_ARTIST_BOOST, 1.0)
    liked = _draw(rng, weights, length - num_outliers)
    outliers = _draw(rng, np.where(np.isin(np.arange(weights.size), liked), 0.0, 1.0), num_outliers)
    tracks = rng.permutation(np.concatenate([liked, outliers]))
    return Collection(tuple(tracks.tolist()), tuple(sorted(scenes.tolist())), num_outliers)


def collection_length(config: WorldConfig, rng: np.random.Generator) -> int:
    """Within `playlist_length`, but never more than half of a small catalogue."""
    low, high = (
        min(bound, config.num_tracks // divisor) for bound, divisor in zip(config.playlist_length, (4, 2), strict=True)
    )
    return int(rng.integers(low, high, endpoint=True))


def _draw(rng: np.random.Generator, weights: np.ndarray, number: int) -> np.ndarray:
    """`number` different indices, drawn one after the other in proportion to the weights (Efraimidis-Spirakis)."""
    number = min(number, int((weights > 0).sum()))
    with np.errstate(divide="ignore"):
        keys = np.log(weights) + rng.gumbel(size=weights.size)
    return np.argsort(-keys, kind="stable")[:number]
