"""Parts of the test set that a mean hides: playlists by homogeneity, targets by their artist's popularity and by audio,
and playlists of which fewer seeds are shown. A slice by targets scores recall of those targets alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import polars as pl

from larp_core.config.paths import DatasetPaths
from larp_core.evaluation.holdouts import Holdouts
from larp_core.evaluation.metadata_keys import artist_popularity
from larp_core.evaluation.metrics import evaluate_ranking
from larp_core.evaluation.ranking import NO_TRACK, rows_of
from larp_core.evaluation.recommenders.recommender import Ranker
from larp_core.evaluation.split_statistics import playlist_homogeneity, playlist_members
from larp_core.runtime.hashing import hash_ids

HOMOGENEITY, ARTIST, AUDIO, SEEDS = "homogeneity", "artist in train", "audio", "seeds shown"
LOW, MIDDLE, HIGH, SILENT = "low", "middle", "high", "unknown"
NEW, RARE, POPULAR = "never", "rare", "popular"
WITH_AUDIO, WITHOUT_AUDIO = "with", "without"


class Slice(NamedTuple):
    """A part of the targets: `is_in[i]` bool for each of playlist i's targets, all or none where it is of playlists."""

    kind: str
    group: str
    is_in: list[np.ndarray]


def slices_of(paths: DatasetPaths, holdouts: Holdouts) -> list[Slice]:
    """Homogeneity by thirds of the playlists, artists by how they are known from train, targets by audio.

    An artist that stands in a train playlist is rare below the median of such targets, else popular. Playlists fewer
    than two of whose tracks have sound have no homogeneity.
    """
    return [
        *_by_homogeneity(paths, holdouts),
        *_by_artist(paths, holdouts),
        *_by_audio(paths, holdouts),
    ]


def slice_recall(ranked: np.ndarray, holdouts: Holdouts, part: Slice, ks: Sequence[int]) -> np.ndarray:
    """Recall of a slice's targets, float64 [P, len(ks)]; NaN for playlists without one."""
    chosen = [i for i, mask in enumerate(part.is_in) if mask.any()]
    values = np.full((len(holdouts.targets), len(ks)), np.nan)
    if chosen:
        targets = [holdouts.targets[i][part.is_in[i]] for i in chosen]
        values[chosen] = evaluate_ranking(ranked[chosen], targets, ks)["recall"]
    return values


def fewer_seeds(holdouts: Holdouts, count: int, seed: int) -> tuple[np.ndarray, Holdouts] | None:
    """Playlists (indices) that have at least `count` seeds, with that many, drawn by the playlist's hash: the same draw
    for every count, so that more seeds are the fewer ones and others. None where there is no such playlist."""
    chosen = np.array([i for i, seeds in enumerate(holdouts.seeds) if len(seeds) >= count], np.int64)
    if not len(chosen):
        return None
    drawn = [_drawn(holdouts.seeds[i], int(holdouts.playlist_ids[i]), count, seed) for i in chosen]
    return chosen, replace(
        holdouts,
        playlist_ids=holdouts.playlist_ids[chosen],
        seeds=drawn,
        targets=[holdouts.targets[i] for i in chosen],
    )


def rank_with_fewer(rank: Ranker, whole: Holdouts, chosen: np.ndarray, fewer: Holdouts, k: int) -> np.ndarray:
    """Ranked lists int32 [P, k] of `fewer`; the seeds that are kept back are no candidates, being no targets either, so
    that all counts of seeds rank the same tracks."""
    kept_back = [np.setdiff1d(whole.seeds[i], seeds) for i, seeds in zip(chosen, fewer.seeds, strict=True)]
    ranked = rank(fewer, min(k + max(map(len, kept_back)), len(whole.candidates)))
    lists = np.full((len(ranked), k), NO_TRACK, np.int32)
    for number, (line, others) in enumerate(zip(ranked, kept_back, strict=True)):
        left = line[~np.isin(line, others) & (line != NO_TRACK)][:k]
        lists[number, : len(left)] = left
    return lists


def _drawn(seeds: np.ndarray, playlist_id: int, count: int, seed: int) -> np.ndarray:
    hashes = hash_ids((f"{playlist_id}/{track_id}" for track_id in seeds.tolist()), seed, "seeds shown")
    return np.sort(seeds[np.argsort(hashes, kind="stable")[:count]])


def _by_homogeneity(paths: DatasetPaths, holdouts: Holdouts) -> Iterator[Slice]:
    members = playlist_members(paths).filter(pl.col("split") == "test")
    of_playlist = playlist_homogeneity(paths, members)
    values = np.array([of_playlist.get(playlist_id, np.nan) for playlist_id in holdouts.playlist_ids.tolist()])
    known = values[~np.isnan(values)]
    thirds = np.quantile(known, [1 / 3, 2 / 3]) if len(known) else np.zeros(2)
    groups = np.where(np.isnan(values), 3, np.searchsorted(thirds, values))
    for number, name in enumerate((LOW, MIDDLE, HIGH, SILENT)):
        masks = [np.full(len(t), group == number) for t, group in zip(holdouts.targets, groups, strict=True)]
        yield Slice(HOMOGENEITY, name, masks)


def _by_artist(paths: DatasetPaths, holdouts: Holdouts) -> Iterator[Slice]:
    _, _, popularity, _ = artist_popularity(paths, holdouts.candidates)
    counts = [popularity[rows_of(holdouts.candidates, targets)] for targets in holdouts.targets]
    known = np.concatenate(counts)
    median = np.median(known[known > 0]) if (known > 0).any() else 0
    yield Slice(ARTIST, NEW, [c == 0 for c in counts])
    yield Slice(ARTIST, RARE, [(c > 0) & (c < median) for c in counts])
    yield Slice(ARTIST, POPULAR, [(c > 0) & (c >= median) for c in counts])


def _by_audio(paths: DatasetPaths, holdouts: Holdouts) -> Iterator[Slice]:
    heard = pl.read_parquet(paths.mel_rows, columns=["track_id"])["track_id"].to_numpy()
    masks = [np.isin(targets, heard) for targets in holdouts.targets]
    yield Slice(AUDIO, WITH_AUDIO, masks)
    yield Slice(AUDIO, WITHOUT_AUDIO, [~mask for mask in masks])
