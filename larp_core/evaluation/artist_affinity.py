"""The row "artist co-occurrence": how often the candidates' artists share a train playlist with the seeds' artists.

Tracks are cold, artists need not be: what train playlists tell of an artist holds for its new tracks.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy.sparse import csr_array, diags_array

from larp_core.config.paths import DatasetPaths
from larp_core.evaluation.holdouts import load_holdouts
from larp_core.evaluation.metadata_keys import NO_KEY, track_keys
from larp_core.evaluation.ranking import ScoreChunk, rank_by
from larp_core.evaluation.rankings import values_of

SHRINKAGES = (1.0, 5.0, 20.0, 50.0)
CHOICE_K = 40
AFFINITY_DECIMALS = 9


def train_pairs(paths: DatasetPaths) -> pl.DataFrame:
    """`playlist_id, track_id` of the train playlists and their train tracks, each pair once."""
    playlists = pl.scan_parquet(paths.split_playlists).filter(pl.col("split") == "train").select("playlist_id")
    tracks = pl.scan_parquet(paths.split_tracks).filter(pl.col("split") == "train").select("track_id")
    pairs = pl.scan_parquet(paths.interactions).select("playlist_id", "track_id").unique()
    return pairs.join(playlists, on="playlist_id", how="semi").join(tracks, on="track_id", how="semi").collect()


def artist_affinity(
    paths: DatasetPaths, candidates: np.ndarray, shrinkage: float, own: float
) -> tuple[np.ndarray, csr_array]:
    """Codes of the candidates' artists [N], -1 where unknown, and the affinity of every two of them, sparse [A, A].

    Affinity is the shrunken cosine n_ab / (sqrt(n_a n_b) + shrinkage), where n counts the train playlists that hold a
    track of an artist, or of both; an artist's affinity to itself is `own`, whether train knows it or not.
    """
    pairs = train_pairs(paths)
    train_ids = pairs["track_id"].unique().sort().to_numpy()
    codes, _ = track_keys(paths, np.concatenate([candidates, train_ids]))
    artists, train_artists = codes[: len(candidates)], codes[len(candidates) :]
    num_artists = int(artists.max(initial=NO_KEY)) + 1
    held = train_artists[np.searchsorted(train_ids, pairs["track_id"].to_numpy())]
    # Codes are numbered as they are met, candidates first: other artists have higher ones, and no candidate needs them.
    known = (held >= 0) & (held < num_artists)
    _, playlists = np.unique(pairs["playlist_id"].to_numpy()[known], return_inverse=True)
    holds = csr_array((np.ones(known.sum()), (playlists, held[known])), shape=(len(playlists), num_artists))
    holds.sum_duplicates()
    holds.data[:] = 1.0
    shared = (holds.T @ holds).tocoo()
    counts = np.bincount(holds.indices, minlength=num_artists)
    a, b = shared.coords
    differ = a != b
    values = shared.data[differ] / (np.sqrt(counts[a[differ]] * counts[b[differ]]) + shrinkage)
    affinity = csr_array((values, (a[differ], b[differ])), shape=(num_artists, num_artists))
    return artists, (affinity + diags_array(np.full(num_artists, own))).tocsr()


def artist_affinity_score(
    paths: DatasetPaths, candidates: np.ndarray, shrinkage: float, own: float = 1.0
) -> ScoreChunk:
    """Mean affinity of a candidate's artist to the artists of the seeds; 0 for a candidate whose artist is unknown."""
    artists, affinity = artist_affinity(paths, candidates, shrinkage, own)
    num_artists = affinity.shape[0]
    known = artists >= 0

    def score(rows: np.ndarray, columns: np.ndarray, num_rows: int) -> np.ndarray:
        named = known[columns]
        seeds = csr_array((np.ones(named.sum()), (rows[named], artists[columns[named]])), shape=(num_rows, num_artists))
        of_artists = (seeds @ affinity).toarray() / np.maximum(np.bincount(rows, minlength=num_rows), 1)[:, None]
        scores = np.zeros((num_rows, len(artists)))
        scores[:, known] = of_artists[:, artists[known]]
        return np.round(scores, AFFINITY_DECIMALS)

    return score


def choose_shrinkage(paths: DatasetPaths) -> tuple[float, dict[str, float]]:
    """Of `SHRINKAGES` the one with the best Recall@40 on the validation playlists, the largest among equals; and that
    of each by name.

    Raises:
        UserError: no validation playlist has a target.
    """
    holdouts = load_holdouts(paths, "valid")
    recalls = {}
    for shrinkage in SHRINKAGES:
        score = artist_affinity_score(paths, holdouts.in_hash_order, shrinkage)
        lists = rank_by(holdouts, holdouts.in_hash_order, score, CHOICE_K)[None]
        values = values_of(lists, holdouts, [CHOICE_K]).filter(pl.col("metric") == "recall")
        recalls[f"{shrinkage:g}"] = round(float(values["value"].mean()), AFFINITY_DECIMALS)  # type: ignore[arg-type]
    return max(SHRINKAGES, key=lambda shrinkage: (recalls[f"{shrinkage:g}"], shrinkage)), recalls
