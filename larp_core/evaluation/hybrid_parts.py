"""What a hybrid is made of: scores of the metadata and of one encoder's vectors, each told apart by a name."""

from __future__ import annotations

import numpy as np

from larp_core.config.paths import DatasetPaths
from larp_core.evaluation.artist_affinity import artist_affinity_score
from larp_core.evaluation.metadata_keys import track_keys
from larp_core.evaluation.metadata_rows import captions_of, shared_key_score, tfidf_scores
from larp_core.evaluation.ranking import ScoreChunk
from larp_core.evaluation.recommenders.nearest_seed import nearest_seed_score, unit_vectors

WORDS_AND_PAIRS = (1, 2)

Parts = dict[str, ScoreChunk]
"""Name: scores of a few playlists' candidates, which stand in hash order."""


def metadata_parts(paths: DatasetPaths, candidates: np.ndarray, shrinkage: float) -> Parts:
    """Seeds by the same artist and of the same album (logarithms of their numbers), the seeds' artists' affinity to
    other ones, and TF-IDF over words and pairs of words: to the seeds' mean, and to the nearest of them."""
    artists, albums = track_keys(paths, candidates)
    mean, nearest = tfidf_scores(*captions_of(paths, candidates), ngrams=WORDS_AND_PAIRS)
    return {
        "same artist": _logarithm(shared_key_score([artists])),
        "same album": _logarithm(shared_key_score([albums])),
        "artists that share playlists": artist_affinity_score(paths, candidates, shrinkage, own=0.0),
        "words, seeds' mean": mean,
        "words, nearest seed": nearest,
    }


def encoder_parts(track_ids: np.ndarray, vectors: np.ndarray, candidates: np.ndarray) -> Parts:
    """Cosine to the mean of the seeds' vectors, and to the nearest seed's; what has no vector scores 0."""
    unit, known = unit_vectors(track_ids, vectors, candidates)
    nearest = nearest_seed_score(unit, np.ones(len(known), bool))
    return {"vectors, seeds' mean": _mean_score(unit), "vectors, nearest seed": nearest}


def _mean_score(unit: np.ndarray) -> ScoreChunk:
    def score(rows: np.ndarray, columns: np.ndarray, num_rows: int) -> np.ndarray:
        sums = np.zeros((num_rows, unit.shape[1]))
        np.add.at(sums, rows, unit[columns])
        sizes = np.linalg.norm(sums, axis=1, keepdims=True)
        return np.divide(sums, sizes, out=np.zeros_like(sums), where=sizes > 0) @ unit.T

    return score


def _logarithm(counts: ScoreChunk) -> ScoreChunk:
    return lambda rows, columns, num_rows: np.log1p(counts(rows, columns, num_rows))
