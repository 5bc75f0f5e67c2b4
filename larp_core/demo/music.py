"""A piece of the demo world's music: its artist, its album, and the attributes that its sound follows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from larp_core.demo.words import GENRE_WORDS, MOOD_WORDS

GENRES = tuple(GENRE_WORDS)
MOODS = tuple(MOOD_WORDS)


@dataclass(frozen=True)
class Artist:
    """`genres` are played in this order of likelihood; the biases colour every track of the artist alike."""

    uri: str
    name: str
    genres: tuple[int, ...]
    mood: int
    key: int
    brightness: float
    tempo_factor: float
    timbre_seed: int


@dataclass(frozen=True)
class Album:
    uri: str
    name: str
    artist: int
    genre: int
    mood: int


@dataclass(frozen=True)
class DemoTrack:
    """One piece of music, all that its synthesis and its caption need.

    Attributes:
        index: position in `Catalogue.tracks`.
        uri: bare, 22 base62 characters. It is a hash of all that shapes the audio, so equal uris mean equal files.
        genre, mood, scene: the hidden truth, indices into GENRES, MOODS and the world's scenes.
        artist, album: indices into the catalogue.
        seconds: length of the audio.
        seed: of everything random in the sound.
    """

    index: int
    uri: str
    name: str
    genre: int
    mood: int
    scene: int
    artist: Artist
    artist_index: int
    album: Album
    album_index: int
    seconds: float
    seed: int


def random_generator(*key: object) -> np.random.Generator:
    """A generator that depends on `key` alone, so that no draw depends on the order of the others."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:16], "little"))
