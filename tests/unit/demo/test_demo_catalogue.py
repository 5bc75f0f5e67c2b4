"""The catalogue: deterministic, complete, and its words and scenes carry what the stages are to learn."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from larp_core.config import WorldConfig
from larp_core.demo.catalogue import BASE62, Catalogue, make_catalogue, make_scenes
from larp_core.demo.music import GENRES, MOODS
from larp_core.demo.words import GENRE_WORDS, MOOD_WORDS, OTHER_WORDS

CONFIG = WorldConfig(num_tracks=600, num_artists=40)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return make_catalogue(CONFIG)


def test_same_config_same_catalogue_other_seed_another(catalogue: Catalogue) -> None:
    assert make_catalogue(CONFIG) == catalogue
    other = make_catalogue(replace(CONFIG, seed=8))
    assert not {track.uri for track in other.tracks} & {track.uri for track in catalogue.tracks}


def test_sizes_and_indices_agree(catalogue: Catalogue) -> None:
    assert (len(catalogue.tracks), len(catalogue.artists)) == (600, 40)
    for index, track in enumerate(catalogue.tracks):
        assert track.index == index
        assert catalogue.artists[track.artist_index] is track.artist
        assert catalogue.albums[track.album_index] is track.album
        assert track.album.artist == track.artist_index
        assert track.scene == catalogue.scene_of_cell[track.genre][track.mood]
        assert track.seconds >= CONFIG.track_seconds
        assert track.name and track.album.name


def test_uris_are_bare_base62_and_unique(catalogue: Catalogue) -> None:
    uris = [item.uri for group in (catalogue.tracks, catalogue.albums, catalogue.artists) for item in group]
    assert len(set(uris)) == len(uris)
    assert all(len(uri) == 22 and set(uri) <= set(BASE62) for uri in uris)


def test_playlist_settings_leave_the_audio_alone(catalogue: Catalogue) -> None:
    other = make_catalogue(replace(CONFIG, outlier_fraction=0.5, num_playlists=3, max_themes=4))
    assert other.tracks == catalogue.tracks
    quieter = make_catalogue(replace(CONFIG, caption_noise=0.9))
    assert quieter.tracks[0].uri != catalogue.tracks[0].uri, "tags hold the names, so the file is another one"


def test_scenes_are_pairs_of_genres_in_pairs_of_moods() -> None:
    for seed in range(5):
        scenes = make_scenes(seed)
        assert scenes == make_scenes(seed)
        cells: dict[int, list[tuple[int, int]]] = {}
        for genre, row in enumerate(scenes):
            for mood, scene in enumerate(row):
                cells.setdefault(scene, []).append((genre, mood))
        for members in cells.values():
            genres, moods = {genre for genre, _ in members}, {mood for _, mood in members}
            assert len(genres) == len(moods) == 2 and len(members) == 4
    assert len({make_scenes(seed) for seed in range(5)}) == 5


def test_vocabularies_do_not_overlap() -> None:
    pools = [*GENRE_WORDS.values(), *MOOD_WORDS.values()]
    words = Counter(word for pool in pools for word in pool.split())
    assert max(words.values()) == 1
    told_nothing = [word for word in OTHER_WORDS.split() if word in words]
    assert not told_nothing


def test_names_tell_of_genre_and_less_of_mood(catalogue: Catalogue) -> None:
    counts: Counter[str] = Counter()
    for track in catalogue.tracks:
        for word in track.name.lower().split():
            if word in OTHER_WORDS.split():
                counts["other"] += 1
            elif word in GENRE_WORDS[GENRES[track.genre]].split():
                counts["genre"] += 1
            else:
                assert word in MOOD_WORDS[MOODS[track.mood]].split()
                counts["mood"] += 1
    total = counts.total()
    assert counts["other"] / total == pytest.approx(CONFIG.caption_noise, abs=0.06)
    assert counts["genre"] > counts["mood"] > 0.1 * total


def test_some_names_are_not_ascii_and_artists_are_told_apart(catalogue: Catalogue) -> None:
    names = [artist.name for artist in catalogue.artists]
    assert len(set(names)) == len(names)
    assert any(not name.isascii() for name in names)


def test_smallest_world_has_every_track() -> None:
    small = make_catalogue(WorldConfig(num_tracks=5, num_artists=3))
    assert len(small.tracks) == 5
