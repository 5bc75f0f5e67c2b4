"""The rows without a model: random, oracle, same artist, artist + album, artist co-occurrence, caption TF-IDF.

On real playlists the metadata rows are hard to beat, so a table without them flatters every encoder.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from larp_core.config.paths import DatasetPaths
from larp_core.evaluation.artist_affinity import artist_affinity_score, choose_shrinkage
from larp_core.evaluation.holdouts import Holdouts
from larp_core.evaluation.metadata_keys import NO_KEY, track_keys
from larp_core.evaluation.metrics import oracle_values, random_values, values_frame
from larp_core.evaluation.names import (
    ARTIST_AND_ALBUM,
    ARTIST_CO_OCCURRENCE,
    CAPTION_TFIDF,
    ORACLE,
    RANDOM,
    SAME_ARTIST,
)
from larp_core.evaluation.ranking import ScoreChunk, rank_by
from larp_core.evaluation.rankings import Rankings, values_of
from larp_core.evaluation.recommenders.nearest_seed import greatest_by_seed

COSINE_DECIMALS = 9


def random_frame(holdouts: Holdouts, ks: Sequence[int]) -> pl.DataFrame:
    """`playlist_id, metric, k, value`: what a random order gives in expectation, exactly."""
    values = random_values(holdouts.num_targets, holdouts.num_candidates, ks)
    return values_frame(holdouts.playlist_ids, values, ks)


def oracle_frame(holdouts: Holdouts, ks: Sequence[int]) -> pl.DataFrame:
    """`playlist_id, metric, k, value`: the most that any ranking can reach."""
    return values_frame(holdouts.playlist_ids, oracle_values(holdouts.num_targets, ks), ks)


def metadata_rankings(paths: DatasetPaths, holdouts: Holdouts, k: int, shrinkage: float | None = None) -> Rankings:
    """Row name -> ranked lists int32 [1, P, k], in the order in which tables show the rows.

    `shrinkage` is that of the artists' affinity, see `larp_core.evaluation.artist_affinity`; by default what validation
    chooses.
    """
    if shrinkage is None:
        shrinkage, _ = choose_shrinkage(paths)
    candidates = holdouts.in_hash_order
    artists, albums = track_keys(paths, candidates)
    scorers = {
        SAME_ARTIST: shared_key_score([artists]),
        ARTIST_AND_ALBUM: shared_key_score([artists, albums]),
        ARTIST_CO_OCCURRENCE: artist_affinity_score(paths, candidates, shrinkage),
        CAPTION_TFIDF: tfidf_scores(*captions_of(paths, candidates))[0],
    }
    return {name: rank_by(holdouts, candidates, score, k)[None] for name, score in scorers.items()}


def metadata_frames(rankings: Rankings, holdouts: Holdouts, ks: Sequence[int]) -> dict[str, pl.DataFrame]:
    """Row name -> `playlist_id, metric, k, value`: random and oracle, which have no ranked lists, and the others."""
    frames = {RANDOM: random_frame(holdouts, ks), ORACLE: oracle_frame(holdouts, ks)}
    return frames | {name: values_of(lists, holdouts, ks) for name, lists in rankings.items()}


def shared_key_score(codes: list[np.ndarray]) -> ScoreChunk:
    """Number of seeds with the candidate's key, summed over the kinds of key."""

    def score(rows: np.ndarray, columns: np.ndarray, num_rows: int) -> np.ndarray:
        return sum((_num_seeds_sharing(c, rows, columns, num_rows) for c in codes), np.zeros((num_rows, len(codes[0]))))

    return score


def _num_seeds_sharing(codes: np.ndarray, rows: np.ndarray, columns: np.ndarray, num_rows: int) -> np.ndarray:
    """float64 [num_rows, N]. The last bin collects the seeds without a key and is then emptied."""
    width = int(codes.max(initial=NO_KEY)) + 2
    seed_codes = codes[columns] % width
    counts = np.bincount(rows * width + seed_codes, minlength=num_rows * width).reshape(num_rows, width)
    counts[:, width - 1] = 0
    return counts[:, codes % width].astype(np.float64)


def captions_of(paths: DatasetPaths, candidates: np.ndarray) -> tuple[list[str], list[str]]:
    """Captions of the train tracks, and of the candidates in their order; a track without one has an empty one."""
    captions = pl.read_parquet(paths.captions, columns=["track_id", "caption"])
    train = pl.read_parquet(paths.split_tracks).filter(pl.col("split") == "train").select("track_id")
    train_captions = captions.join(train, on="track_id", how="semi").sort("track_id")["caption"].drop_nulls()
    frame = pl.DataFrame({"track_id": candidates}).join(captions, on="track_id", how="left", maintain_order="left")
    return train_captions.to_list(), frame["caption"].fill_null("").to_list()


def tfidf_scores(
    train_captions: list[str], candidate_captions: list[str], ngrams: tuple[int, int] = (1, 1)
) -> tuple[ScoreChunk, ScoreChunk]:
    """Cosine to the mean TF-IDF vector of the seeds, and to that of the nearest seed.

    Words, or runs of `ngrams` words, are weighed by the train captions alone. One that none of them has counts as seen
    in none, and so weighs most: left out, the artists new to the catalogue would be lost, and the row weaker than
    anyone would build it.
    """
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
    from sklearn.preprocessing import normalize

    counts = CountVectorizer(ngram_range=ngrams).fit(train_captions + candidate_captions)
    weights = TfidfTransformer().fit(counts.transform(train_captions))
    vectors = weights.transform(counts.transform(candidate_captions)).tocsr()

    def mean(rows: np.ndarray, columns: np.ndarray, num_rows: int) -> np.ndarray:
        seeds = csr_array((np.ones(len(rows)), (rows, columns)), shape=(num_rows, vectors.shape[0]))
        return np.round((normalize(seeds @ vectors) @ vectors.T).toarray(), COSINE_DECIMALS)

    def nearest(rows: np.ndarray, columns: np.ndarray, num_rows: int) -> np.ndarray:
        def similarity(seeds: np.ndarray) -> np.ndarray:
            return (vectors[seeds] @ vectors.T).toarray()

        return np.round(greatest_by_seed(similarity, rows, columns, num_rows, vectors.shape[0]), COSINE_DECIMALS)

    return mean, nearest
