"""Artist co-occurrence against a slow twin; only train playlists and train tracks teach it."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import combinations

import numpy as np
import polars as pl
import pytest

from larp_core.config.paths import DatasetPaths
from larp_core.evaluation.artist_affinity import (
    CHOICE_K,
    SHRINKAGES,
    artist_affinity,
    artist_affinity_score,
    choose_shrinkage,
)
from larp_core.evaluation.holdouts import Holdouts, load_holdouts
from larp_core.evaluation.metrics import evaluate_ranking
from larp_core.evaluation.ranking import rank_by, rows_of
from larp_core.runtime.files import write_parquet


def sides(paths: DatasetPaths) -> tuple[dict[int, str], dict[int, str]]:
    playlists, tracks = pl.read_parquet(paths.split_playlists), pl.read_parquet(paths.split_tracks)
    return dict(playlists.iter_rows()), dict(tracks.iter_rows())


def twin_scores(paths: DatasetPaths, holdouts: Holdouts, shrinkage: float, own: float = 1.0) -> np.ndarray:
    """[P, N], candidates in hash order."""
    playlist_side, track_side = sides(paths)
    names = pl.read_parquet(paths.metadata, columns=["track_id", "artist_uri", "artist_name"])
    artist = {t: (uri or (name or "").casefold() or None) for t, uri, name in names.iter_rows()}
    held = defaultdict(set)
    for playlist, track in pl.read_parquet(paths.interactions, columns=["playlist_id", "track_id"]).iter_rows():
        if playlist_side[playlist] == "train" and track_side[track] == "train" and artist[track]:
            held[playlist].add(artist[track])
    alone = Counter(a for artists in held.values() for a in artists)
    together = Counter(pair for artists in held.values() for pair in combinations(sorted(artists), 2))

    def affinity(a: str | None, b: str | None) -> float:
        if a is None or b is None:
            return 0.0
        if a == b:
            return own
        return together[tuple(sorted((a, b)))] / ((alone[a] * alone[b]) ** 0.5 + shrinkage)

    return np.array(
        [
            [np.mean([affinity(artist[s], artist[c]) for s in seeds.tolist()]) for c in holdouts.in_hash_order.tolist()]
            for seeds in holdouts.seeds
        ]
    )


def scores(paths: DatasetPaths, holdouts: Holdouts, shrinkage: float, own: float = 1.0) -> np.ndarray:
    rows = np.repeat(np.arange(len(holdouts.seeds)), [len(s) for s in holdouts.seeds])
    columns = rows_of(holdouts.in_hash_order, np.concatenate(holdouts.seeds))
    score = artist_affinity_score(paths, holdouts.in_hash_order, shrinkage, own)
    return score(rows, columns, len(holdouts.seeds))


@pytest.fixture
def odd_names(paths: DatasetPaths) -> DatasetPaths:
    """Half of the test tracks by artists that train doesn't know, one of them by nobody; train repeats a track."""
    metadata = pl.read_parquet(paths.metadata)
    strange = (pl.col("track_id") >= 120) & (pl.col("track_id") % 2 == 0)
    uri = pl.when(strange).then(pl.format("new{}", pl.col("track_id") % 6)).otherwise("artist_uri")
    names = metadata.with_columns(artist_uri=pl.when(pl.col("track_id") == 120).then(None).otherwise(uri))
    names = names.with_columns(artist_name=pl.when(pl.col("track_id") == 120).then(None).otherwise("artist_name"))
    write_parquet(names, paths.metadata)
    interactions = pl.read_parquet(paths.interactions)
    write_parquet(pl.concat([interactions, interactions.head(7)]), paths.interactions)
    return paths


@pytest.mark.parametrize(("shrinkage", "own"), [(1.0, 1.0), (20.0, 0.0)])
def test_scores_equal_counting_playlists(odd_names: DatasetPaths, shrinkage: float, own: float) -> None:
    holdouts = load_holdouts(odd_names, "test")
    expected = twin_scores(odd_names, holdouts, shrinkage, own)
    assert scores(odd_names, holdouts, shrinkage, own) == pytest.approx(expected, abs=1e-9)
    assert (expected > 0).any()


def test_only_train_teaches(paths: DatasetPaths) -> None:
    holdouts = load_holdouts(paths, "test")
    before = scores(paths, holdouts, 5.0)
    playlist_side, track_side = sides(paths)
    held_out = pl.col("playlist_id").is_in([p for p, side in playlist_side.items() if side != "train"])
    kept = pl.read_parquet(paths.interactions).filter(~held_out)
    cold = next(t for t, side in track_side.items() if side == "test")
    train = next(p for p, side in playlist_side.items() if side == "train")
    crossing = pl.DataFrame({"playlist_id": [train], "track_id": [cold], "position": [99]}, schema=kept.schema)
    write_parquet(pl.concat([kept, crossing]), paths.interactions)
    assert np.array_equal(scores(paths, holdouts, 5.0), before)


def test_a_companion_comes_before_strangers_and_after_oneself(paths: DatasetPaths) -> None:
    """Artists 0 and 2 share every train playlist, artist 4 none."""
    write_parquet(
        pl.DataFrame(
            {"playlist_id": [0, 0, 1, 1, 2], "track_id": [0, 2, 10, 12, 4], "position": [0, 1, 0, 1, 0]},
            schema={"playlist_id": pl.Int32, "track_id": pl.Int32, "position": pl.Int32},
        ),
        paths.interactions,
    )
    tracks = np.array([100, 110, 102, 104], np.int32)
    artists, affinity = artist_affinity(paths, tracks, 1.0, 1.0)
    assert affinity.toarray()[artists[0]][artists].tolist() == pytest.approx([1, 1, 2 / 3, 0])


def test_shrinkage_is_the_best_of_validation(paths: DatasetPaths) -> None:
    holdouts = load_holdouts(paths, "valid")
    chosen, recalls = choose_shrinkage(paths)
    for shrinkage in SHRINKAGES:
        twin = np.round(twin_scores(paths, holdouts, shrinkage), 9)
        ranked = rank_by(holdouts, holdouts.in_hash_order, lambda rows, columns, n, twin=twin: twin.copy(), CHOICE_K)
        mean = evaluate_ranking(ranked, holdouts.targets, [CHOICE_K])["recall"].mean()
        assert recalls[f"{shrinkage:g}"] == pytest.approx(mean)
    best = max(recalls.values())
    assert chosen == max(s for s in SHRINKAGES if recalls[f"{s:g}"] == best)
