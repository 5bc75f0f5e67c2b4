"""What an encoder is asked, and what it gives back, or says where it has nothing to work with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from larp_core.config.encoders import Encoder
from larp_core.config.paths import DatasetPaths
from larp_core.config.recipes import Recipe


class WeightsNotFound(Exception):
    """No weights to encode with: the encoder's rows stay empty, with this line, and nothing else stops."""


@dataclass(frozen=True)
class EncodingRequest:
    """An encoder's dataset, recipe, and what the user has named for it.

    Attributes:
        weights: a hub name, folder or file; empty where none is named.
        command: of an environment of its own; empty where none is named.
    """

    encoder: Encoder
    paths: DatasetPaths
    recipe: Recipe
    weights: str = ""
    command: str = ""


@dataclass(frozen=True)
class Embedded:
    """Vectors of the tracks that an encoder can see.

    Attributes:
        track_ids: int32 [N], ascending.
        vectors: float32 [N, D].
        weights_sha256: of the weights used; empty for encoders without any.
        pretrained: True where the weights were trained before, here or elsewhere; False for random ones.
        audio_vectors, text_vectors: float32 [N, D] of a two-tower model, with has_audio, has_text bool [N].
        given_up: int32, tracks that the encoder was asked for and says it can't encode.
        notes: further facts for the file's footer.
    """

    track_ids: np.ndarray
    vectors: np.ndarray
    weights_sha256: str
    pretrained: bool
    audio_vectors: np.ndarray | None = None
    text_vectors: np.ndarray | None = None
    has_audio: np.ndarray | None = None
    has_text: np.ndarray | None = None
    given_up: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))
    notes: dict[str, str] = field(default_factory=dict)

    def modalities(self) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """(column name, vectors, present) of each modality that the encoder gives apart."""
        if self.audio_vectors is not None and self.has_audio is not None:
            yield "audio_vector", self.audio_vectors, self.has_audio
        if self.text_vectors is not None and self.has_text is not None:
            yield "text_vector", self.text_vectors, self.has_text
