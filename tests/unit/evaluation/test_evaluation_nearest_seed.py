"""ItemKNN by the nearest seed, against a loop; and the metadata's word scores by the same rule."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from benchmark_world import write_embeddings

from larp_core.config.paths import DatasetPaths
from larp_core.evaluation.holdouts import load_holdouts
from larp_core.evaluation.metadata_rows import captions_of, tfidf_scores
from larp_core.evaluation.ranking import rows_of
from larp_core.evaluation.recommenders.nearest_seed import NearestSeed
from larp_core.evaluation.recommenders.recommender import Inputs
from larp_core.evaluation.vectors import load_vectors


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return round(float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))), 9)


def test_ranks_by_the_greatest_cosine_to_any_seed(paths: DatasetPaths) -> None:
    """Track 91 has no vector: as a seed it is skipped, as a candidate it comes last."""
    write_embeddings(paths, "larp_ttc", 1.0, pretrained=False)
    track_ids, vectors = load_vectors(paths.embeddings("larp_ttc"))
    holdouts = load_holdouts(paths, "test")
    ranked = NearestSeed().fit(Inputs(track_ids, vectors, track_ids < 60), seed=0)(holdouts, 60)
    vector = dict(zip(track_ids.tolist(), vectors.astype(np.float64), strict=True))
    order = holdouts.in_hash_order.tolist()
    for row, seeds in enumerate(holdouts.seeds):
        known = [vector[s] for s in seeds.tolist() if s in vector]
        others = [t for t in order if t not in seeds]
        score = {t: max(cosine(vector[t], s) for s in known) if t in vector else -2.0 for t in others}
        expected = sorted(others, key=lambda t: (-score[t], order.index(t)))
        assert ranked[row].tolist() == expected + [-1] * (60 - len(expected))


def test_a_vector_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        NearestSeed().fit(Inputs(np.arange(1), np.array([[np.nan]]), np.array([True])), seed=0)


def test_words_of_the_nearest_seed(paths: DatasetPaths) -> None:
    holdouts = load_holdouts(paths, "test")
    rows = np.repeat(np.arange(len(holdouts.seeds)), [len(s) for s in holdouts.seeds])
    columns = rows_of(holdouts.in_hash_order, np.concatenate(holdouts.seeds))
    mean, nearest = tfidf_scores(*captions_of(paths, holdouts.in_hash_order), ngrams=(1, 2))
    single = np.stack([mean(np.zeros(1, int), np.array([column]), 1)[0] for column in columns])
    expected = np.stack([single[rows == row].max(axis=0) for row in range(len(holdouts.seeds))])
    assert nearest(rows, columns, len(holdouts.seeds)) == pytest.approx(expected, abs=1e-8)


def test_pairs_of_words_tell_more_than_words(paths: DatasetPaths) -> None:
    captions = {60: "blue river", 61: "river blue", 62: "blue river night", 63: "stone"}
    frame = pl.DataFrame({"track_id": list(captions), "caption": list(captions.values())}).cast({"track_id": pl.Int32})
    texts = frame["caption"].to_list()
    seed = (np.zeros(1, int), np.zeros(1, int), 1)
    words, pairs = (tfidf_scores(texts, texts, ngrams)[0](*seed)[0] for ngrams in ((1, 1), (1, 2)))
    assert words[1] == pytest.approx(1.0)
    assert pairs[1] < 1.0
    assert pairs[2] > pairs[3]
