"""Which playlists are scored, and what a contradiction in the split's files leads to."""

import numpy as np
import polars as pl
import pytest

from larp_core.config.paths import DatasetPaths
from larp_core.evaluation.holdouts import Holdouts, load_holdouts
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import write_parquet


def test_holdouts_are_those_of_the_split_alone(paths: DatasetPaths) -> None:
    rows = pl.read_parquet(paths.holdouts)
    for split in ("valid", "test"):
        members = pl.read_parquet(paths.split_playlists).filter(pl.col("split") == split)["playlist_id"]
        tracks = pl.read_parquet(paths.split_tracks).filter(pl.col("split") == split)["track_id"]
        holdouts = load_holdouts(paths, split)
        assert holdouts.playlist_ids.tolist() == sorted(members)
        assert holdouts.candidates.tolist() == sorted(tracks)
        for playlist_id, seeds, targets in zip(holdouts.playlist_ids, holdouts.seeds, holdouts.targets, strict=True):
            own = rows.filter(pl.col("playlist_id") == playlist_id)
            assert set(seeds) == set(own.filter(pl.col("role") == "seed")["track_id"])
            assert set(targets) == set(own.filter(pl.col("role") == "target")["track_id"])
            assert seeds.dtype == targets.dtype == np.int32


def test_playlists_without_target_are_left_out(paths: DatasetPaths) -> None:
    before = load_holdouts(paths, "test")
    dropped = int(before.playlist_ids[3])
    is_dropped = (pl.col("playlist_id") == dropped) & (pl.col("role") == "target")
    write_parquet(pl.read_parquet(paths.holdouts).filter(~is_dropped), paths.holdouts)
    after = load_holdouts(paths, "test")
    assert set(before.playlist_ids) - set(after.playlist_ids) == {dropped}


def test_order_of_rows_does_not_matter(paths: DatasetPaths) -> None:
    before = load_holdouts(paths, "test")
    for path in (paths.holdouts, paths.split_tracks, paths.split_playlists):
        write_parquet(pl.read_parquet(path).reverse(), path)
    after = load_holdouts(paths, "test")
    assert np.array_equal(before.candidates, after.candidates)
    assert all(np.array_equal(a, b) for a, b in zip(before.seeds, after.seeds, strict=True))


def test_no_test_playlist_is_said_plainly(paths: DatasetPaths) -> None:
    write_parquet(pl.read_parquet(paths.holdouts).clear(), paths.holdouts)
    with pytest.raises(UserError, match="no test playlist has a target"):
        load_holdouts(paths, "test")


@pytest.mark.parametrize(
    ("seeds", "targets", "message"),
    [([1], [], "no target"), ([1, 2], [2], "both seed and target"), ([1], [9], "track 9"), ([8], [2], "track 8")],
)
def test_contradictions_are_refused(seeds: list[int], targets: list[int], message: str) -> None:
    arrays = [np.array(ids, np.int32) for ids in (seeds, targets)]
    with pytest.raises(ValueError, match=message):
        Holdouts(np.array([5], np.int32), [arrays[0]], [arrays[1]], np.arange(5, dtype=np.int32))
