"""Playlists and listeners: sizes, themes, outliers, and a signal in the scenes that genre or mood alone lack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from larp_core.config import WorldConfig
from larp_core.demo.catalogue import Catalogue, make_catalogue
from larp_core.demo.playlists import Collection, make_listeners, make_playlists

CONFIG = WorldConfig(num_playlists=60, num_listeners=20)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return make_catalogue(CONFIG)


@pytest.fixture(scope="module")
def playlists(catalogue: Catalogue) -> list[Collection]:
    return make_playlists(CONFIG, catalogue)


def test_deterministic_and_listeners_are_other_people(catalogue: Catalogue, playlists: list[Collection]) -> None:
    assert make_playlists(CONFIG, catalogue) == playlists
    assert make_playlists(replace(CONFIG, num_playlists=3), catalogue) == playlists[:3]
    listeners = make_listeners(CONFIG, catalogue)
    assert len(listeners) == 20
    assert listeners[0].tracks != playlists[0].tracks


def test_lengths_and_no_repeats(playlists: list[Collection]) -> None:
    for playlist in playlists:
        assert CONFIG.playlist_length[0] <= len(playlist.tracks) <= CONFIG.playlist_length[1]
        assert len(set(playlist.tracks)) == len(playlist.tracks)
        assert 1 <= len(playlist.scenes) <= CONFIG.max_themes


def test_small_catalogue_bounds_the_length() -> None:
    config = WorldConfig(num_tracks=90, num_artists=12, num_playlists=10)
    for playlist in make_playlists(config, make_catalogue(config)):
        assert 22 <= len(playlist.tracks) <= 45


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.6])
def test_outliers_are_the_share_asked_for(catalogue: Catalogue, fraction: float) -> None:
    playlists = make_playlists(replace(CONFIG, outlier_fraction=fraction), catalogue)
    share = sum(p.num_outliers for p in playlists) / sum(len(p.tracks) for p in playlists)
    assert share == pytest.approx(fraction, abs=0.03)


def test_playlists_are_about_scenes_more_than_genre_or_mood(catalogue: Catalogue, playlists: list[Collection]) -> None:
    """How much likelier two tracks of a playlist share an attribute than two tracks of the catalogue."""

    def lift(labels: np.ndarray) -> float:
        def same(chosen: np.ndarray) -> float:
            return float(np.sum((np.bincount(chosen) / chosen.size) ** 2))

        return float(np.mean([same(labels[list(p.tracks)]) for p in playlists])) / same(labels)

    scene, mood, genre = (np.array([getattr(t, name) for t in catalogue.tracks]) for name in ("scene", "mood", "genre"))
    assert lift(scene) > 2.0
    assert lift(scene) > 1.5 * lift(genre)
    assert lift(scene) > 1.5 * lift(mood)


def test_more_outliers_weaken_the_scenes(catalogue: Catalogue) -> None:
    def share_in_scenes(fraction: float) -> float:
        playlists = make_playlists(replace(CONFIG, outlier_fraction=fraction), catalogue)
        return float(np.mean([np.mean([catalogue.tracks[i].scene in p.scenes for i in p.tracks]) for p in playlists]))

    assert share_in_scenes(0.1) > share_in_scenes(0.3) > share_in_scenes(0.6)
