"""Slices against slow twins: whose targets they are, recall of those alone, and fewer seeds of the same playlists."""

import math

import numpy as np
import polars as pl
import pytest

from larp_core.config.paths import DatasetPaths
from larp_core.config.settings import Settings
from larp_core.evaluation.holdouts import load_holdouts
from larp_core.evaluation.names import RANDOM
from larp_core.evaluation.recommenders.itemknn import rank
from larp_core.evaluation.slices import (
    ARTIST,
    AUDIO,
    HOMOGENEITY,
    NEW,
    SEEDS,
    WITH_AUDIO,
    fewer_seeds,
    rank_with_fewer,
    slice_recall,
    slices_of,
)
from larp_core.evaluation.vectors import load_vectors
from larp_core.graph.registry import job_named
from larp_core.runtime.files import write_parquet

K = 10


@pytest.fixture
def sounding(scored: Settings) -> Settings:
    """Every third track has no clip; tracks 300 and above would, if there were any."""
    for dataset in scored.datasets:
        heard = [track_id for track_id in range(150) if track_id % 3]
        frame = pl.DataFrame(
            {"track_id": heard, "row": range(len(heard))}, schema={"track_id": pl.Int32, "row": pl.Int32}
        )
        write_parquet(frame, scored.paths(dataset).mel_rows)
    return scored


@pytest.fixture
def sliced(sounding: Settings) -> DatasetPaths:
    return sounding.paths("mpd")


def test_slices_of_a_kind_share_out_the_targets(sliced: DatasetPaths) -> None:
    holdouts = load_holdouts(sliced, "test")
    parts = slices_of(sliced, holdouts)
    for kind in (HOMOGENEITY, ARTIST, AUDIO):
        own = [part.is_in for part in parts if part.kind == kind]
        for i, targets in enumerate(holdouts.targets):
            assert np.sum([masks[i] for masks in own], axis=0).tolist() == [1] * len(targets)
    (heard,) = [part for part in parts if (part.kind, part.group) == (AUDIO, WITH_AUDIO)]
    assert [m.tolist() for m in heard.is_in] == [[t % 3 > 0 for t in targets.tolist()] for targets in holdouts.targets]
    (new,) = [part for part in parts if (part.kind, part.group) == (ARTIST, NEW)]
    train = pl.read_parquet(sliced.interactions).filter(pl.col("playlist_id") < 6)["track_id"].to_list()
    known = {track_id % 10 for track_id in train}
    assert [m.tolist() for m in new.is_in] == [[t % 10 not in known for t in ts.tolist()] for ts in holdouts.targets]


def test_recall_of_a_slice_is_that_of_its_targets_alone(sliced: DatasetPaths) -> None:
    holdouts = load_holdouts(sliced, "test")
    ranked = rank(holdouts, *load_vectors(sliced.embeddings("larp_ttc")), K)
    for part in slices_of(sliced, holdouts):
        values = slice_recall(ranked, holdouts, part, (K,))[:, 0]
        for i, targets in enumerate(holdouts.targets):
            own = set(targets[part.is_in[i]].tolist())
            slow = len(own & set(ranked[i].tolist())) / len(own) if own else math.nan
            assert values[i] == pytest.approx(slow, nan_ok=True)


def test_fewer_seeds_are_drawn_from_more_and_targets_stay(sliced: DatasetPaths) -> None:
    holdouts = load_holdouts(sliced, "test")
    before: list[set[int]] = [set() for _ in holdouts.seeds]
    for count in (1, 3, 5):
        drawn = fewer_seeds(holdouts, count, seed=42)
        assert drawn is not None
        chosen, fewer = drawn
        assert chosen.tolist() == [i for i, seeds in enumerate(holdouts.seeds) if len(seeds) >= count]
        for i, seeds in zip(chosen, fewer.seeds, strict=True):
            assert len(seeds) == count and before[i] < set(seeds.tolist()) <= set(holdouts.seeds[i].tolist())
            before[i] = set(seeds.tolist())
        assert all((a == holdouts.targets[i]).all() for i, a in zip(chosen, fewer.targets, strict=True))
    assert fewer_seeds(holdouts, 6, seed=42) is None


def test_seeds_kept_back_are_no_candidates(sliced: DatasetPaths) -> None:
    holdouts = load_holdouts(sliced, "test")
    vectors = load_vectors(sliced.embeddings("larp_ttc"))
    drawn = fewer_seeds(holdouts, 2, seed=42)
    assert drawn is not None
    chosen, fewer = drawn
    lists = rank_with_fewer(lambda few, k: rank(few, *vectors, k), holdouts, chosen, fewer, K)
    whole = rank(fewer, *vectors, len(holdouts.candidates))
    for i, line, everything in zip(chosen, lists, whole, strict=True):
        slow = [t for t in everything.tolist() if t not in holdouts.seeds[i].tolist() and t >= 0][:K]
        assert line.tolist() == slow


def test_the_report_has_every_slice_and_is_derived_from_the_lists(sounding: Settings) -> None:
    report = job_named("slices", sounding).work()
    table = pl.read_parquet(sounding.shared.reports / "slices.parquet")
    assert report.num_rows == table.height
    assert set(table["slice"]) == {HOMOGENEITY, ARTIST, AUDIO, SEEDS}
    assert RANDOM not in set(table["row"]) and {"LARP-TTC", "caption TF-IDF"} <= set(table["row"])
    shown = table.filter(pl.col("slice") == SEEDS)
    assert set(shown["group"]) == {f"{text}" for n in (1, 5) for text in (n, f"all seeds, playlists with {n}")}
    # All playlists have five seeds: shown five, they are ranked as the tables rank them.
    five = shown.filter(pl.col("group").str.ends_with("5")).sort("dataset", "row", "k", "group")
    pairs = five.group_by("dataset", "row", "k", maintain_order=True).agg("value")["value"].to_list()
    assert pairs and all(a == pytest.approx(b) for a, b in pairs)
    text = (sounding.shared.reports / "slices.md").read_text()
    assert "### R@10 by audio" in text and "with (24)" in text
