"""graph.duckdb against the Parquet it is built from, and the arrays of TrainGraph against slow twins."""

from __future__ import annotations

import itertools
import resource
from collections import Counter

import duckdb
import numpy as np
import polars as pl
import pytest
from data_files import mpd_playlist, write_slice
from hypothesis import given, settings
from hypothesis import strategies as st

from larp_core.config import SplitConfig
from larp_core.data.train_graph import TrainGraph, load_train_graph, make_train_graph

EDGES = st.sets(st.tuples(st.integers(0, 12), st.integers(0, 30)), min_size=1, max_size=80)
MANY = settings(max_examples=60, deadline=None)


def graph_of(edges: set[tuple[int, int]]) -> TrainGraph:
    columns = np.array(sorted(edges, key=lambda edge: hash((edge, 1))), dtype=np.int32)
    return make_train_graph(columns[:, 0], columns[:, 1])


def members(graph: TrainGraph) -> dict[int, set[int]]:
    """Dense playlist -> its dense tracks."""
    return {playlist: set(graph.tracks_of(playlist).tolist()) for playlist in range(graph.num_playlists)}


@given(edges=EDGES)
@MANY
def test_both_sides_of_the_arrays_hold_the_edges(edges):
    graph = graph_of(edges)
    assert sorted(graph.track_ids) == graph.track_ids.tolist() == sorted({track for _, track in edges})
    back = {
        (int(graph.playlist_ids[p]), int(graph.track_ids[t])) for p, tracks in members(graph).items() for t in tracks
    }
    assert back == edges
    for track in range(graph.num_tracks):
        assert set(graph.playlists_of(track).tolist()) == {p for p, tracks in members(graph).items() if track in tracks}
    assert (
        graph.playlist_tracks[graph.track_slots] == np.repeat(np.arange(graph.num_tracks), np.diff(graph.track_indptr))
    ).all()
    assert graph.dense_tracks(np.array([*graph.track_ids, 31, -5])).tolist() == [*range(graph.num_tracks), -1, -1]


@given(edges=EDGES, seed=st.integers(0, 99))
@MANY
def test_partners_share_the_playlist_and_lonely_tracks_have_none(edges, seed):
    graph = graph_of(edges)
    lists = members(graph)
    anchors = np.repeat(np.arange(graph.num_tracks), 3)
    partners, playlists = graph.draw_partners(np.random.default_rng(seed), anchors)
    for anchor, partner, playlist in zip(anchors, partners, playlists, strict=True):
        if any(anchor in tracks and len(tracks) > 1 for tracks in lists.values()):
            assert partner != anchor and {anchor, partner} <= lists[playlist]
        else:
            assert (partner, playlist) == (-1, -1)
    assert set(graph.anchors) == {anchor for anchor, partner in zip(anchors, partners, strict=True) if partner >= 0}


def test_partners_are_uniform_over_playlists_and_their_other_tracks():
    graph = graph_of({(0, 0), (0, 1), (0, 2), (1, 0), (1, 3), (2, 0)})
    partners, playlists = graph.draw_partners(np.random.default_rng(0), np.zeros(40_000, dtype=np.int64))
    shares = np.bincount(partners, minlength=4) / 40_000
    assert np.allclose(shares, [0, 0.25, 0.25, 0.5], atol=0.02)
    assert np.allclose(np.bincount(playlists, minlength=3) / 40_000, [0.5, 0.5, 0], atol=0.02)


@given(edges=EDGES, num_neighbours=st.integers(1, 9), seed=st.integers(0, 99))
@MANY
def test_neighbours_are_different_members_without_the_excluded_one(edges, num_neighbours, seed):
    graph = graph_of(edges)
    lists = members(graph)
    rows = [(playlist, track) for playlist in lists for track in [*lists[playlist], -1, graph.num_tracks - 1]]
    playlists, exclude = np.array(rows).T
    drawn = graph.draw_neighbours(np.random.default_rng(seed), playlists, exclude, num_neighbours)
    assert drawn.shape == (len(rows), num_neighbours)
    for (playlist, excluded), row in zip(rows, drawn.tolist(), strict=True):
        allowed = lists[playlist] - {excluded}
        found = [track for track in row if track >= 0]
        assert row[len(found) :] == [-1] * (num_neighbours - len(found))
        assert len(found) == len(set(found)) == min(num_neighbours, len(allowed)) and set(found) <= allowed


def test_neighbour_sets_are_uniform():
    graph = graph_of({(0, track) for track in range(6)} | {(1, 0), (1, 1)})
    zeros = np.zeros(30_000, dtype=np.int64)
    drawn = graph.draw_neighbours(np.random.default_rng(1), zeros, zeros + 4, 2)
    counts = Counter(tuple(sorted(row)) for row in drawn.tolist())
    assert set(counts) == set(itertools.combinations([0, 1, 2, 3, 5], 2))
    assert all(abs(count / 30_000 - 0.1) < 0.01 for count in counts.values())


@given(
    edges=EDGES, rows=st.lists(st.integers(-1, 12), max_size=70), candidates=st.lists(st.integers(-1, 12), max_size=90)
)
@MANY
def test_co_occurs_and_contains_equal_their_slow_twins(edges, rows, candidates):
    graph = graph_of(edges)
    lists = members(graph)
    a, b = (np.array([n for n in ns if n < graph.num_tracks], dtype=np.int64) for ns in (rows, candidates))
    shared = [[any(x in tracks and y in tracks for tracks in lists.values()) for y in b] for x in a]
    assert graph.co_occurs(a, b).shape == (len(a), len(b)) and graph.co_occurs(a, b).tolist() == shared
    p = np.array([n for n in rows if n < graph.num_playlists], dtype=np.int64)
    assert graph.contains(p, b).tolist() == [[y in lists.get(x, ()) for y in b] for x in p]


@given(edges=EDGES, seed=st.integers(0, 99))
@MANY
def test_shuffling_keeps_every_degree(edges, seed):
    graph = graph_of(edges)
    shuffled = graph.shuffled(np.random.default_rng(seed))
    assert (shuffled.track_ids == graph.track_ids).all() and (shuffled.playlist_ids == graph.playlist_ids).all()
    assert (shuffled.playlist_indptr == graph.playlist_indptr).all() and (
        shuffled.track_indptr == graph.track_indptr
    ).all()
    assert all(len(tracks) == len(shuffled.tracks_of(p)) for p, tracks in members(shuffled).items())


def test_shuffling_destroys_what_playlists_have_in_common():
    blocks = {(playlist, 20 * (playlist % 5) + track) for playlist in range(40) for track in range(15)}
    graph = graph_of(blocks)
    shuffled = graph.shuffled(np.random.default_rng(0))
    block_of = shuffled.track_ids // 20
    sizes = [len(set(block_of[shuffled.tracks_of(playlist)])) for playlist in range(40)]
    assert np.mean(sizes) > 4


@pytest.fixture
def graph_job(tmp_path, run_steps):
    rng = np.random.default_rng(5)
    lists = [rng.permutation(200)[: rng.integers(20, 70)].tolist() for _ in range(60)]
    write_slice(tmp_path / "mpd", 0, [mpd_playlist(pid, numbers) for pid, numbers in enumerate(lists)])
    return run_steps("interaction_graph", tmp_path / "mpd", split=SplitConfig(min_tracks=3, max_tracks=8))


def edges_on_disk(job) -> dict[str, set[tuple[int, int]]]:
    """Split -> its pairs of playlist and track, by loops over the Parquet files."""
    split_of_playlist = dict(pl.read_parquet(job.paths.split_playlists).rows())
    split_of_track = dict(pl.read_parquet(job.paths.split_tracks).rows())
    edges: dict[str, set[tuple[int, int]]] = {"train": set(), "valid": set(), "test": set()}
    for playlist, track in pl.read_parquet(job.paths.interactions).select("playlist_id", "track_id").rows():
        if split_of_playlist.get(playlist) == split_of_track.get(track) == "train":
            edges["train"].add((playlist, track))
    for playlist, track, _ in pl.read_parquet(job.paths.holdouts).rows():
        edges[split_of_playlist[playlist]].add((playlist, track))
    return edges


def test_interactions_and_co_occurrence_equal_the_naive_twin(graph_job):
    edges = edges_on_disk(graph_job)
    with duckdb.connect(str(graph_job.paths.graph), read_only=True) as connection:
        rows = connection.execute("SELECT split, playlist_id, track_id FROM interactions").fetchall()
        pairs = {(a, b): n for a, b, n in connection.execute("SELECT * FROM co_occurrence").fetchall()}
        tables = {row[0] for row in connection.execute("SELECT table_name FROM information_schema.tables").fetchall()}
        splits = {
            t: connection.execute(f"SELECT count(*) FROM {t} WHERE split IS NULL").fetchone()[0]
            for t in tables - {"co_occurrence"}
        }
    assert {(s, p, t) for s, p, t in rows} == {(s, p, t) for s, pairs_ in edges.items() for p, t in pairs_}
    assert len(rows) == len(set(rows))
    expected: Counter[tuple[int, int]] = Counter()
    by_playlist: dict[int, list[int]] = {}
    for playlist, track in set().union(*edges.values()):
        by_playlist.setdefault(playlist, []).append(track)
    for tracks in by_playlist.values():
        expected.update(itertools.permutations(tracks, 2))
    assert pairs == expected
    assert tables == {"playlists", "tracks", "interactions", "holdouts", "clips", "co_occurrence"}
    assert set(splits.values()) == {0}


def test_the_loaded_graph_is_the_train_split_alone(graph_job):
    edges = edges_on_disk(graph_job)
    for split in ("train", "valid"):
        graph = load_train_graph(graph_job.paths.graph, split)
        found = {(int(graph.playlist_ids[p]), int(graph.track_ids[t])) for p, ts in members(graph).items() for t in ts}
        assert found == edges[split]


def test_a_report_with_the_most_frequent_pairs(graph_job):
    report = graph_job.work()
    assert report.facts["num_clips"] == 0 and report.num_rows == report.facts["num_interactions"] > 0
    assert [row["with_clip"] for row in report.tables["sound by split"]] == [0, 0, 0]
    counts = [row["num_playlists"] for row in report.tables["most frequent pairs"]]
    assert counts == sorted(counts, reverse=True) and len(counts) == 10
    with duckdb.connect(str(graph_job.paths.graph), read_only=True) as connection:
        (top,) = connection.execute("SELECT max(num_playlists) FROM co_occurrence").fetchone()
    assert counts[0] == top


def test_sound_is_counted_by_split(graph_job):
    """Every third track has two clips, and one in six was tried in vain."""
    ids = pl.read_parquet(graph_job.paths.split_tracks)
    clips = ids.select("track_id", start_seconds=pl.lit(1.0), path=pl.format("clips/{}.flac", "track_id"))
    clips = pl.concat([clips.with_columns(clip_index=pl.lit(index, pl.Int32)) for index in (0, 1)])
    clips = clips.with_columns(path=pl.when(pl.col("track_id") % 6 > 0).then("path"), sha256=pl.lit("x"))
    clips.filter(pl.col("track_id") % 3 == 0).write_parquet(graph_job.paths.clips)
    for row in graph_job.work().tables["sound by split"]:
        tracks = [track for track, side in ids.rows() if side == row["split"]]
        heard = sum(track % 6 == 3 for track in tracks)
        assert (row["tracks"], row["with_clip"]) == (len(tracks), heard)
        assert row["share"] == round(heard / len(tracks), 4)


def test_a_rebuilt_graph_replaces_the_old_one_while_it_is_read(graph_job):
    with duckdb.connect(str(graph_job.paths.graph), read_only=True) as reader:
        before = reader.execute("SELECT count(*) FROM interactions").fetchone()
        graph_job.work()
        assert reader.execute("SELECT count(*) FROM interactions").fetchone() == before
    assert [path.name for path in graph_job.paths.root.glob("*.duckdb*")] == ["graph.duckdb"]
    assert not list(graph_job.paths.root.glob(".*partial*"))


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7, 0.95])
def test_a_graph_that_does_not_fit_is_no_graph(tmp_path, run_steps, share):
    rng = np.random.default_rng(3)
    write_slice(tmp_path / "mpd", 0, [mpd_playlist(pid, rng.permutation(900)[:80].tolist()) for pid in range(80)])
    job = run_steps("interaction_graph", tmp_path / "mpd")
    num_bytes = job.paths.graph.stat().st_size
    job.paths.graph.unlink()
    before, limits = sorted(job.paths.root.iterdir()), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(num_bytes * share), limits[1]))
    try:
        with pytest.raises(duckdb.Error, match="File too large"):
            job.work()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(job.paths.root.iterdir()) == before
    assert job.work().num_rows > 0 and sorted(job.paths.root.iterdir()) == sorted([*before, job.paths.graph])
