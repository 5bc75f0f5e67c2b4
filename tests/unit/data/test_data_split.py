"""Cold-start splits: never a leak, nothing moves when data is added, and the policies' rules against naive twins."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl
import pytest
from data_files import mpd_playlist, mpd_uri, write_slice
from hypothesis import given, settings
from hypothesis import strategies as st

from larp_core.config import SplitConfig
from larp_core.data import split
from larp_core.data.hashing import hash_ids, unit_interval
from larp_core.data.leaks import check_leaks, find_leaks
from larp_core.errors import UserError
from larp_core.recipes import RECIPES

PLAYLISTS = st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=40, unique=True), min_size=1, max_size=25)
CONFIGS = st.builds(
    SplitConfig,
    seed=st.integers(0, 1000),
    playlist_fractions=st.sampled_from([(0.4, 0.3, 0.3), (0.6, 0.2, 0.2), (0.34, 0.33, 0.33)]),
    track_fractions=st.sampled_from([(0.5, 0.2, 0.3), (0.34, 0.33, 0.33)]),
    min_tracks=st.integers(1, 6),
    max_tracks=st.integers(7, 15),
    seed_fraction=st.sampled_from([0.2, 0.5, 0.8]),
)


def frames(lists: list[list[int]], names: list[str] | None = None) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Tables with ids by first appearance, as the readers number them."""
    ids: dict[int, int] = {}
    rows = [(p, ids.setdefault(t, len(ids)), position) for p, ts in enumerate(lists) for position, t in enumerate(ts)]
    int32 = {"playlist_id": pl.Int32, "track_id": pl.Int32, "position": pl.Int32}
    return (
        pl.DataFrame(
            {"playlist_id": range(len(lists)), "source_id": names or [f"p{n}" for n in range(len(lists))]},
            schema_overrides={"playlist_id": pl.Int32},
        ),
        pl.DataFrame(
            {"track_id": list(ids.values()), "track_uri": [mpd_uri(number) for number in ids]},
            schema_overrides={"track_id": pl.Int32},
        ),
        pl.DataFrame(rows, schema=int32, orient="row"),
    )


def splits_by_name(tables, kept: pl.DataFrame) -> dict[str, str]:
    """Uri or source id -> split, for all that is kept."""
    playlists, tracks, _ = tables
    kept = (
        kept.with_columns(pl.col("split").cast(pl.String)).join(playlists, on="playlist_id").join(tracks, on="track_id")
    )
    return dict(kept.select("source_id", "split").rows()) | dict(kept.select("track_uri", "split").rows())


def leaks_of(tables, kept: pl.DataFrame, holdouts: pl.DataFrame):
    playlists, tracks, interactions = tables
    names = tracks.with_columns(track_name=pl.lit(None, pl.String), artist_name=pl.lit(None, pl.String))
    sides = kept.with_columns(pl.col("split").cast(pl.String))
    return find_leaks(
        sides.select("playlist_id", "split").unique().join(playlists, on="playlist_id"),
        sides.select("track_id", "split").unique().join(names, on="track_id"),
        interactions,
        holdouts,
    )


@given(lists=PLAYLISTS, config=CONFIGS, policy=st.sampled_from(sorted(split.POLICIES)))
@settings(max_examples=120, deadline=None)
def test_no_policy_ever_leaks(lists, config, policy):
    tables = frames(lists)
    kept = split.POLICIES[policy](*tables, config)
    holdouts = split.draw_holdouts(kept, tables[0], tables[1], config)
    assert leaks_of(tables, kept, holdouts).is_clean
    sizes = kept.group_by("playlist_id", "split").len()
    assert (sizes["len"] >= config.min_tracks).all()
    held_out = sizes.filter(pl.col("split") != "train")
    assert (held_out["len"] <= config.max_tracks).all()
    assert set(holdouts["playlist_id"]) == set(held_out["playlist_id"])
    for playlist, _, size in held_out.rows():
        num_seeds = holdouts.filter(playlist_id=playlist, role="seed").height
        assert num_seeds == min(max(round(size * config.seed_fraction), 1), max(size - 1, 1))


@given(lists=PLAYLISTS, more=PLAYLISTS, config=CONFIGS, in_front=st.booleans())
@settings(max_examples=80, deadline=None)
def test_added_playlists_move_nothing(lists, more, config, in_front):
    """Not even where they come first, so that every id changes."""
    old_names, new_names = [f"p{n}" for n in range(len(lists))], [f"q{n}" for n in range(len(more))]
    before = frames(lists, old_names)
    after = frames(more + lists, new_names + old_names) if in_front else frames(lists + more, old_names + new_names)
    kept_before, kept_after = split.sampled_tracks(*before, config), split.sampled_tracks(*after, config)
    assert splits_by_name(before, kept_before).items() <= splits_by_name(after, kept_after).items()
    expected, found = (
        split.draw_holdouts(kept, *tables[:2], config)
        .join(tables[0], on="playlist_id")
        .join(tables[1], on="track_id")
        .filter(pl.col("source_id").str.starts_with("p"))
        .select("source_id", "track_uri", "role")
        .rows()
        for kept, tables in ((kept_before, before), (kept_after, after))
    )
    assert set(expected) == set(found)


@given(lists=PLAYLISTS, config=CONFIGS)
@settings(max_examples=60, deadline=None)
def test_sampled_tracks_equals_its_naive_twin(lists, config):
    def side(name: str, purpose: str, fractions: tuple[float, float, float]) -> str:
        digest = hashlib.blake2b(f"{purpose}\0{config.seed}\0{name}".encode(), digest_size=8).digest()
        point = (int.from_bytes(digest, "little") >> 11) / 2**53
        return split.SPLITS[0 if point < fractions[0] else 1 if point < fractions[0] + fractions[1] else 2]

    expected = set()
    for number, tracks in enumerate(lists):
        name = side(f"p{number}", "playlist", config.playlist_fractions)
        mine = [track for track in tracks if side(mpd_uri(track), "track", config.track_fractions) == name]
        if len(mine) >= config.min_tracks:
            expected |= {
                (f"p{number}", mpd_uri(t), name) for t in (mine if name == "train" else mine[: config.max_tracks])
            }
    tables = frames(lists)
    kept = split.sampled_tracks(*tables, config).join(tables[0], on="playlist_id").join(tables[1], on="track_id")
    assert set(kept.select("source_id", "track_uri", pl.col("split").cast(pl.String)).rows()) == expected


@given(lists=PLAYLISTS, config=CONFIGS)
@settings(max_examples=60, deadline=None)
def test_train_first_follows_the_papers_steps(lists, config):
    tables = frames(lists)
    kept = split.train_first(*tables, config).with_columns(pl.col("split").cast(pl.String))
    codes = split.assign_splits(tables[0]["source_id"], config.playlist_fractions, config.seed, "playlist")
    positions = {row[0]: row[1] for row in kept.group_by("playlist_id").agg(pl.col("position").sort()).rows()}
    claimed: set[int] = set()
    for code, name in enumerate(split.SPLITS):
        claims: set[int] = set()
        for playlist in np.flatnonzero(codes == code):
            mine = tables[2].filter(pl.col("playlist_id") == playlist, ~pl.col("track_id").is_in(list(claimed)))
            if mine.height < config.min_tracks:
                assert playlist not in positions
                continue
            claims |= set(mine["track_id"])
            found = positions.pop(playlist)
            whole = mine["position"].to_list()
            start = whole.index(found[0])
            assert found == whole[start : start + len(found)]
            if name == "train":
                assert found == whole
            else:
                assert config.min_tracks <= len(found) <= max(config.max_tracks - 1, config.min_tracks)
        claimed |= claims
    assert not positions


def test_hashes_are_fixed_for_ever():
    assert hash_ids(["a", "b"], 42, "track").tolist() == [
        int.from_bytes(hashlib.blake2b(f"track\0{42}\0{name}".encode(), digest_size=8).digest(), "little")
        for name in "ab"
    ]
    points = unit_interval(hash_ids([str(n) for n in range(20_000)], 1, "playlist"))
    assert points.min() >= 0 and points.max() < 1
    assert np.allclose(np.histogram(points, bins=10, range=(0, 1))[0] / 20_000, 0.1, atol=0.01)


def test_fractions_that_do_not_sum_to_one_are_refused():
    with pytest.raises(UserError, match="playlist_fractions"):
        split.assign_splits(pl.Series(["a"]), (0.5, 0.5, 0.5), 1, "playlist")


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


def test_twins_are_counted_by_artist_and_normalised_title():
    rows = [
        (0, "train", "u0", "Yesterday - Remastered 2009", "The Beatles"),
        (1, "test", "u1", "yesterday (Live)", "the beatles "),
        (2, "test", "u2", "Yesterday", "Boyz II Men"),
        (3, "test", "u3", None, "The Beatles"),
    ]
    tracks = pl.DataFrame(rows, schema=["track_id", "split", "track_uri", "track_name", "artist_name"], orient="row")
    playlists = pl.DataFrame({"playlist_id": [0], "split": ["train"], "source_id": ["a"]})
    none = pl.DataFrame(schema={"playlist_id": pl.Int64, "track_id": pl.Int64, "role": pl.String})
    report = find_leaks(playlists, tracks, none.drop("role"), none)
    assert (report.num_twins, report.twin_examples, report.is_clean) == (1, ("the beatles: yesterday",), True)


def test_an_empty_split_names_the_settings(tmp_path, run_steps):
    write_slice(tmp_path / "mpd", 0, [mpd_playlist(1, [1, 2, 3])])
    with pytest.raises(
        UserError, match=r"leaves no (train|valid|test) playlist.*split\.min_tracks.*split\.track_fractions"
    ):
        run_steps("cold_start_split", tmp_path / "mpd")


def test_an_unknown_policy_is_refused(tmp_path, run_steps):
    write_slice(tmp_path / "mpd", 0, [mpd_playlist(1, [1, 2, 3])])
    with pytest.raises(UserError, match="unknown split policy 'magic'; choose from sampled_tracks, train_first"):
        run_steps("cold_start_split", tmp_path / "mpd", split=SplitConfig(policy=(("mpd", "magic"),)))


@pytest.mark.parametrize(("dataset", "folder"), [("mpd", "mpd"), ("lfm", "lfm2b")])
def test_the_recipe_for_real_samples_fills_every_split(sample_data, run_steps, dataset, folder):
    recipe = RECIPES["small_real"]
    job = run_steps("cold_start_split", sample_data / folder, dataset, split=recipe.split)
    assert check_leaks(job.paths).is_clean
    counts = dict(pl.read_parquet(job.paths.split_playlists).group_by("split").len().rows())
    assert all(counts[name] >= 3 for name in split.SPLITS)
