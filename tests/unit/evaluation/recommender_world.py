"""A planted problem: taste is a linear part of the content, drowned in louder parts that tell nothing of playlists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from larp_core.config.recommenders import WmfConfig
from larp_core.evaluation.holdouts import Holdouts
from larp_core.evaluation.recommenders.factors import Factors
from larp_core.evaluation.recommenders.recommender import Inputs, Pairs
from larp_core.evaluation.recommenders.wmf import factorise

TASTE, NOISE, LENGTH = 6, 12, 16
SIZES = {"train": (300, 120), "valid": (160, 40), "test": (160, 60)}
"""Split: tracks and playlists."""


@dataclass(frozen=True)
class PlantedWorld:
    inputs: Inputs
    test: Holdouts


def planted_world(seed: int = 0, loudness: float = 3.0) -> PlantedWorld:
    rng = np.random.default_rng(seed)
    num_tracks = sum(tracks for tracks, _ in SIZES.values())
    taste = rng.normal(size=(num_tracks, TASTE))
    taste /= np.linalg.norm(taste, axis=1, keepdims=True)
    turn, _ = np.linalg.qr(rng.normal(size=(TASTE + NOISE, TASTE + NOISE)))
    content = np.hstack([taste, loudness * rng.normal(size=(num_tracks, NOISE))]) @ turn
    first, playlists = 0, {}
    for split, (tracks, count) in SIZES.items():
        playlists[split] = [first + _members(rng, taste[first : first + tracks]) for _ in range(count)]
        first += tracks
    sizes = [tracks for tracks, _ in SIZES.values()]
    split_of = np.repeat(list(SIZES), sizes)
    owners = np.repeat(np.arange(len(playlists["train"])), LENGTH)
    train = Pairs(owners.astype(np.int32), np.concatenate(playlists["train"]).astype(np.int32))
    inputs = Inputs(
        np.arange(num_tracks, dtype=np.int32),
        content.astype(np.float32),
        split_of == "train",
        train,
        factors_of(train),
        _holdouts(playlists["valid"], np.flatnonzero(split_of == "valid")),
    )
    return PlantedWorld(inputs, _holdouts(playlists["test"], np.flatnonzero(split_of == "test")))


def factors_of(train: Pairs) -> Factors:
    return factorise(train.playlists, train.tracks, WmfConfig(solver="als", width=16, epochs=15))


def _members(rng: np.random.Generator, taste: np.ndarray) -> np.ndarray:
    """Tracks near one point of taste, drawn by the Gumbel trick."""
    wish = rng.normal(size=TASTE)
    pull = 6.0 * taste @ (wish / np.linalg.norm(wish)) + rng.gumbel(size=len(taste))
    return np.sort(np.argsort(-pull)[:LENGTH])


def _holdouts(playlists: list[np.ndarray], candidates: np.ndarray) -> Holdouts:
    return Holdouts(
        np.arange(len(playlists), dtype=np.int32),
        [p[::2].astype(np.int32) for p in playlists],
        [p[1::2].astype(np.int32) for p in playlists],
        candidates.astype(np.int32),
    )
