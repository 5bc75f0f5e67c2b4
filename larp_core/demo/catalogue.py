"""The demo world's music before any of it sounds: artists with a style, albums, tracks and their names.

One catalogue serves both demo datasets. A track's hidden truth is its cell (genre, mood); genre decides instruments and
rhythm, mood decides mode, tempo, brightness and dynamics. A scene is a pair of genres in a pair of moods that people
like to hear together: nothing in a track's sound or name says which are paired, only playlists do.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from larp_core.config import WorldConfig
from larp_core.demo.music import GENRES, MOODS, Album, Artist, DemoTrack, random_generator
from larp_core.demo.synth import SYNTH_VERSION
from larp_core.demo.words import ACCENTED_SYLLABLES, GENRE_WORDS, MOOD_WORDS, OTHER_WORDS, SYLLABLES

CATALOGUE_VERSION = 2
SECOND_GENRE_FRACTION = 0.3
TRACKS_PER_ALBUM = 7
MOOD_WORD_FRACTION = {"track": 0.5, "album": 0.4, "artist": 0.15}
"""Of the words that tell something; the rest are genre words."""

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
URI_LENGTH = 22


@dataclass(frozen=True)
class Catalogue:
    artists: tuple[Artist, ...]
    albums: tuple[Album, ...]
    tracks: tuple[DemoTrack, ...]
    scene_of_cell: tuple[tuple[int, ...], ...]


def make_uri(*key: object) -> str:
    """A bare Spotify-like id of 22 base62 characters, a hash of `key`."""
    number = int.from_bytes(hashlib.sha256(repr(key).encode()).digest(), "little")
    digits = []
    for _ in range(URI_LENGTH):
        number, digit = divmod(number, len(BASE62))
        digits.append(BASE62[digit])
    return "".join(digits)


def make_catalogue(config: WorldConfig) -> Catalogue:
    """The whole catalogue of `config`; nothing is written. It depends on the sizes, the seed, `track_seconds` and
    `caption_noise`, not on the fields about playlists and listeners."""
    scene_of_cell = make_scenes(config.seed)
    names = _Names(config)
    artists = tuple(_make_artist(config, names, index) for index in range(config.num_artists))
    albums: list[Album] = []
    tracks: list[DemoTrack] = []
    for artist_index, num_tracks in enumerate(_tracks_per_artist(config)):
        _add_discography(config, names, artists[artist_index], artist_index, num_tracks, scene_of_cell, albums, tracks)
    return Catalogue(artists, tuple(albums), tuple(tracks), scene_of_cell)


def make_scenes(seed: int) -> tuple[tuple[int, ...], ...]:
    """`scenes[genre][mood]`: which scene a cell belongs to. Genres and moods are paired at random, and a scene is one
    pair of each: four cells."""
    rng = random_generator("scenes", seed)
    genre_pairs, mood_pairs = (rng.permutation(len(names)) // 2 for names in (GENRES, MOODS))
    num_mood_pairs = len(MOODS) // 2
    return tuple(tuple(int(genre * num_mood_pairs + mood) for mood in mood_pairs) for genre in genre_pairs)


def _make_artist(config: WorldConfig, names: _Names, index: int) -> Artist:
    rng = random_generator("artist", config.seed, index)
    genres = [index % len(GENRES)]
    if rng.random() < SECOND_GENRE_FRACTION:
        genres.append(int((genres[0] + rng.integers(1, len(GENRES))) % len(GENRES)))
    mood = int(rng.integers(len(MOODS)))
    return Artist(
        uri=make_uri("artist", config.seed, config.num_artists, index),
        name=names.artist(rng, genres[0], mood),
        genres=tuple(genres),
        mood=mood,
        key=int(rng.integers(12)),
        brightness=float(rng.normal(0, 1)),
        tempo_factor=float(np.exp(rng.normal(0, 0.06))),
        timbre_seed=int(rng.integers(2**31)),
    )


def _tracks_per_artist(config: WorldConfig) -> np.ndarray:
    """How many tracks each artist has: uneven, as in life, and `num_tracks` in all. int64 `[num_artists]`."""
    share = random_generator("shares", config.seed).gamma(4.0, size=config.num_artists)
    edges = np.round(np.cumsum(share) / share.sum() * config.num_tracks).astype(int)
    return np.diff(edges, prepend=0)


def _add_discography(
    config: WorldConfig,
    names: _Names,
    artist: Artist,
    artist_index: int,
    num_tracks: int,
    scene_of_cell: tuple[tuple[int, ...], ...],
    albums: list[Album],
    tracks: list[DemoTrack],
) -> None:
    """Appends an artist's albums and their tracks."""
    for first in range(0, num_tracks, TRACKS_PER_ALBUM):
        rng = random_generator("album", config.seed, artist_index, first)
        genre = artist.genres[-1] if rng.random() < 0.4 else artist.genres[0]
        mood = artist.mood if rng.random() < 0.4 else int(rng.integers(len(MOODS)))
        uri = make_uri("album", config.seed, config.num_tracks, config.num_artists, artist_index, first)
        album = Album(uri, names.album(rng, genre, mood), artist_index, genre, mood)
        albums.append(album)
        for _ in range(min(TRACKS_PER_ALBUM, num_tracks - first)):
            track_mood = mood if rng.random() < 0.6 else int(rng.integers(len(MOODS)))
            index = len(tracks)
            tracks.append(
                DemoTrack(
                    index=index,
                    uri=make_uri("track", audio_key(config), index),
                    name=names.track(rng, genre, track_mood),
                    genre=genre,
                    mood=track_mood,
                    scene=scene_of_cell[genre][track_mood],
                    artist=artist,
                    artist_index=artist_index,
                    album=album,
                    album_index=len(albums) - 1,
                    seconds=round(config.track_seconds + 6 * float(rng.random()), 1),
                    seed=int(rng.integers(2**31)),
                )
            )


def audio_key(config: WorldConfig) -> tuple[object, ...]:
    """What the catalogue's audio files and their tags depend on; part of every track's uri."""
    sizes = (config.num_tracks, config.num_artists, config.track_seconds, config.caption_noise)
    return (config.seed, *sizes, CATALOGUE_VERSION, SYNTH_VERSION)


class _Names:
    """Names made of words that tell of genre or mood, but for a share of `caption_noise`. Artists' names are unique."""

    def __init__(self, config: WorldConfig) -> None:
        self.noise = config.caption_noise
        self.genre_words = [words.split() for words in GENRE_WORDS.values()]
        self.mood_words = [words.split() for words in MOOD_WORDS.values()]
        self.other_words = OTHER_WORDS.split()
        self.taken: set[str] = set()

    def track(self, rng: np.random.Generator, genre: int, mood: int) -> str:
        return self._phrase(rng, genre, mood, int(rng.integers(2, 5)), MOOD_WORD_FRACTION["track"])

    def album(self, rng: np.random.Generator, genre: int, mood: int) -> str:
        return self._phrase(rng, genre, mood, int(rng.integers(1, 4)), MOOD_WORD_FRACTION["album"])

    def artist(self, rng: np.random.Generator, genre: int, mood: int) -> str:
        while True:
            person = self._person(rng)
            word = self._phrase(rng, genre, mood, 1, MOOD_WORD_FRACTION["artist"])
            forms = (
                f"The {word} {person}s",
                f"{person} & the {word}",
                f"{person} {word}",
                f"{person} {self._person(rng)}",
            )
            name = forms[int(rng.integers(len(forms)))]
            if name not in self.taken:
                self.taken.add(name)
                return name

    def _phrase(self, rng: np.random.Generator, genre: int, mood: int, num_words: int, mood_fraction: float) -> str:
        words = []
        for _ in range(num_words):
            if rng.random() < self.noise:
                pool = self.other_words
            else:
                pool = self.mood_words[mood] if rng.random() < mood_fraction else self.genre_words[genre]
            words.append(str(rng.choice(pool)).capitalize())
        return " ".join(dict.fromkeys(words))

    def _person(self, rng: np.random.Generator) -> str:
        plain, accented = SYLLABLES.split(), ACCENTED_SYLLABLES.split()
        first = rng.choice(accented) if rng.random() < 0.12 else rng.choice(plain)
        return "".join([str(first), *map(str, rng.choice(plain, size=int(rng.integers(1, 3))))]).capitalize()
