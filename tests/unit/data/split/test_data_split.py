"""The split step: its files, its memory, the leak check, and what it refuses."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from data_files import mpd_playlist, write_lfm, write_slice

from larp_core.config import SplitConfig
from larp_core.config.recipes import RECIPES
from larp_core.data.split import cold_start
from larp_core.data.split.leaks import check_leaks
from larp_core.data.split.policies import assign_splits
from larp_core.runtime.errors import UserError
from larp_core.runtime.hashing import hash_ids, unit_interval


def test_hashes_are_fixed_for_ever():
    assert hash_ids(["a", "b"], 42, "track").tolist() == [
        int.from_bytes(hashlib.blake2b(f"track\0{42}\0{name}".encode(), digest_size=8).digest(), "little")
        for name in "ab"
    ]
    points = unit_interval(hash_ids([str(n) for n in range(20_000)], 1, "playlist"))
    assert points.min() >= 0 and points.max() < 1
    assert np.allclose(np.histogram(points, bins=10, range=(0, 1))[0] / 20_000, 0.1, atol=0.01)


def test_fractions_that_do_not_sum_to_one_are_refused():
    with pytest.raises(UserError, match=r"of a playlist.*split\.playlist_fractions"):
        assign_splits(pl.Series(["a"]), (0.5, 0.5, 0.5), 1, "playlist")


def many_playlists(folder, count: int = 60) -> None:
    rng = np.random.default_rng(3)
    lists = [rng.permutation(300)[: rng.integers(20, 60)].tolist() for _ in range(count)]
    write_slice(folder, 0, [mpd_playlist(pid, numbers) for pid, numbers in enumerate(lists)])


def test_files_of_a_split(tmp_path, run_steps):
    many_playlists(tmp_path / "mpd")
    job = run_steps("cold_start_split", tmp_path / "mpd")
    playlists, tracks = pl.read_parquet(job.paths.split_playlists), pl.read_parquet(job.paths.split_tracks)
    holdouts, interactions = pl.read_parquet(job.paths.holdouts), pl.read_parquet(job.paths.interactions)
    assert playlists.schema == {"playlist_id": pl.Int32, "split": pl.String}
    assert set(holdouts["role"]) == {"seed", "target"}
    joined = interactions.join(playlists, on="playlist_id").join(tracks, on=["track_id", "split"])
    assert set(joined["track_id"]) == set(tracks["track_id"])
    assert set(joined["playlist_id"]) == set(playlists["playlist_id"])
    report = job.work()
    assert [row["split"] for row in report.tables["splits"]] == ["train", "valid", "test"]
    train = report.tables["splits"][0]
    assert train["interactions"] == joined.filter(split="train").height
    assert train["mean_tracks_per_playlist"] == round(train["interactions"] / train["playlists"], 2)
    assert check_leaks(job.paths).is_clean
    assert report.facts["twin_rule"] == "report" and not set(report.facts) & set(report.tables)


def test_the_leak_check_sees_each_kind_of_leak(tmp_path, run_steps):
    many_playlists(tmp_path / "mpd")
    paths = run_steps("cold_start_split", tmp_path / "mpd").paths
    tracks, playlists = pl.read_parquet(paths.split_tracks), pl.read_parquet(paths.split_playlists)
    holdouts = pl.read_parquet(paths.holdouts)

    test_track, test_playlist = (frame.filter(split="test")[0] for frame in (tracks, playlists))
    tracks.vstack(test_track.with_columns(split=pl.lit("train"))).write_parquet(paths.split_tracks)
    assert check_leaks(paths).num_shared_tracks == 1 and not check_leaks(paths).is_clean
    tracks.write_parquet(paths.split_tracks)

    playlists.vstack(test_playlist.with_columns(split=pl.lit("valid"))).write_parquet(paths.split_playlists)
    assert check_leaks(paths).num_shared_playlists == 1
    playlists.write_parquet(paths.split_playlists)

    train_track = tracks.filter(split="train")["track_id"][0]
    foreign = pl.DataFrame([(holdouts["playlist_id"][0], train_track, "target")], schema=holdouts.schema, orient="row")
    holdouts.vstack(foreign).write_parquet(paths.holdouts)
    report = check_leaks(paths)
    assert report.num_foreign_holdouts == 1 and str(train_track) in report.examples[0]
    holdouts.vstack(holdouts[:1].with_columns(role=pl.lit("target"))).write_parquet(paths.holdouts)
    assert check_leaks(paths).num_foreign_holdouts == 1
    holdouts.write_parquet(paths.holdouts)
    assert check_leaks(paths).is_clean


def test_sides_are_remembered_on_disk(tmp_path, run_steps):
    """Listeners added later; what is built from nothing is always the same; a changed recipe starts afresh."""
    rng = np.random.default_rng(4)
    events = [
        (user, int(track), 1, 1_600_000_000 + n)
        for user in range(40)
        for n, track in enumerate(rng.permutation(300)[:50])
    ]
    tracks = [(number, f"artist {number % 9}", f"song {number}") for number in range(300)]
    config = SplitConfig(policy=(("lfm", "paper"),), playlist_fractions=(0.4, 0.3, 0.3), min_tracks=3, max_tracks=12)
    write_lfm(tmp_path / "lfm", [event for event in events if event[0] < 20], tracks)
    job = run_steps("cold_start_split", tmp_path / "lfm", "lfm", split=config)
    first = names_and_splits(job)
    files = [job.paths.split_playlists, job.paths.split_tracks, job.paths.holdouts, job.paths.split_memory]
    written = [path.read_bytes() for path in files]
    assert job.work().facts["remembered_tracks"] == sum(name.startswith("lfm:") for name in first)
    assert [path.read_bytes() for path in files] == written
    job.paths.split_memory.unlink()
    assert job.work().facts["remembered_playlists"] == 0
    assert [path.read_bytes() for path in files] == written

    write_lfm(tmp_path / "lfm", events, tracks)
    second = names_and_splits(run_steps("cold_start_split", tmp_path / "lfm", "lfm", split=config))
    assert len(second) > len(first)
    assert {name: second.get(name) for name in first} == first
    job.paths.split_memory.unlink()
    from_nothing = names_and_splits(run_steps("cold_start_split", tmp_path / "lfm", "lfm", split=config))
    assert any(from_nothing.get(name, side) != side for name, side in first.items()), "without memory tracks move"

    later = run_steps("cold_start_split", tmp_path / "lfm", "lfm", split=replace(config, seed_fraction=0.2))
    assert later.work().facts["remembered_playlists"] > 0
    job.paths.split_memory.write_bytes(written[-1])
    run_steps("cold_start_split", tmp_path / "lfm", "lfm", split=replace(config, max_tracks=11))
    afresh = names_and_splits(job)
    job.paths.split_memory.unlink()
    run_steps("cold_start_split", tmp_path / "lfm", "lfm", split=replace(config, max_tracks=11))
    assert names_and_splits(job) == afresh


def names_and_splits(job) -> dict[str, str]:
    playlists = pl.read_parquet(job.paths.split_playlists).join(pl.read_parquet(job.paths.playlists), on="playlist_id")
    tracks = pl.read_parquet(job.paths.split_tracks).join(pl.read_parquet(job.paths.tracks), on="track_id")
    return dict(playlists.select("source_id", "split").rows()) | dict(tracks.select("track_uri", "split").rows())


@pytest.mark.parametrize(
    ("policy", "hint"),
    [
        (
            "sampled_tracks",
            "raise {}'s share in split.playlist_fractions and split.track_fractions, or add data",
        ),
        ("train_first", "raise {}'s share in split.playlist_fractions, or add data"),
        ("paper_lists", "lower split.min_tracks, or add data"),
    ],
)
def test_an_empty_split_names_the_settings_that_its_policy_has(policy, hint):
    config = SplitConfig(policy=(("mpd", policy),))
    kept = pl.DataFrame({"split": ["train"]})
    with pytest.raises(UserError, match=r"leaves no valid playlist.*lower split\.min_tracks") as caught:
        cold_start._refuse_empty(kept, config, "mpd")
    assert str(caught.value).endswith(hint.format("valid"))


def test_an_empty_split_is_refused(tmp_path, run_steps):
    write_slice(tmp_path / "mpd", 0, [mpd_playlist(1, [1, 2, 3])])
    with pytest.raises(UserError, match=r"leaves no (train|valid|test) playlist"):
        run_steps("cold_start_split", tmp_path / "mpd")


def test_an_unknown_policy_is_refused(tmp_path, run_steps):
    write_slice(tmp_path / "mpd", 0, [mpd_playlist(1, [1, 2, 3])])
    with pytest.raises(UserError, match="unknown split policy 'magic'; choose from paper, sampled_tracks"):
        run_steps("cold_start_split", tmp_path / "mpd", split=SplitConfig(policy=(("mpd", "magic"),)))


@pytest.mark.parametrize(("dataset", "folder"), [("mpd", "mpd"), ("lfm", "lfm2b")])
def test_the_recipe_for_real_samples_fills_every_split(sample_data, run_steps, dataset, folder):
    recipe = RECIPES["small_real"]
    job = run_steps("cold_start_split", sample_data / folder, dataset, split=recipe.split)
    assert check_leaks(job.paths).is_clean
    counts = dict(pl.read_parquet(job.paths.split_playlists).group_by("split").len().rows())
    assert all(counts[name] >= 3 for name in cold_start.SPLITS)
