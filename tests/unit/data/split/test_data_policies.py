"""Every split policy: equal to its naive twin, never a leak, and nothing that changes sides when data is added."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import duckdb
import polars as pl
import pytest
from data_files import mpd_uri
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_split import Kept, Playlists, naive_holdouts, naive_split, side

from larp_core.config import SplitConfig
from larp_core.config.recipes import RECIPES
from larp_core.data.split import cold_start
from larp_core.data.split import memory as split_memory
from larp_core.data.split.leaks import find_leaks
from larp_core.data.split.memory import Memory
from larp_core.data.split.policies import POLICIES, Tables, policy_named
from larp_core.runtime.errors import UserError

CASES = ("paper_mpd", "paper_lfm", *(name for name in POLICIES if name != "paper"))
LISTS = st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=40, unique=True), min_size=1, max_size=25)
CONFIGS = st.builds(
    SplitConfig,
    seed=st.integers(0, 1000),
    playlist_fractions=st.sampled_from([(0.4, 0.3, 0.3), (0.6, 0.2, 0.2), (0.34, 0.33, 0.33)]),
    track_fractions=st.sampled_from([(0.5, 0.2, 0.3), (0.34, 0.33, 0.33)]),
    min_tracks=st.integers(1, 6),
    max_tracks=st.integers(7, 15),
    seed_fraction=st.sampled_from([0.2, 0.5, 0.8]),
)
KEPT_COLUMNS = ("playlist_id", "track_id", "position", "split")
LISTED = {mpd_uri(number): "valid" if number % 5 == 1 else "test" for number in range(61) if number % 5 in (1, 3)}
"""The authors' lists of the invented tracks."""


def artist_of(uri: str) -> str:
    """Of every seven artists one has no uri and one not even a name."""
    number = int(uri[1:])
    return {0: f"name\nartist {number % 7}", 1: f"track\n{uri}"}.get(number % 7, f"A{number % 7}")


def album_of(uri: str) -> str:
    number = int(uri[1:])
    named = f"name\n{'' if number % 7 == 1 else f'artist {number % 7}'}\nalbum {number % 11}"
    return {0: named, 1: f"track\n{uri}"}.get(number % 11, f"B{number % 11}")


def tables_of(playlists: Playlists, memory: Memory | None = None) -> Tables:
    """Ids by first appearance, as the readers number them."""
    uris = list(dict.fromkeys(itertools.chain.from_iterable(playlists.values())))
    ids = {uri: number for number, uri in enumerate(uris)}
    numbers = [int(uri[1:]) for uri in uris]
    tracks = {
        "track_id": range(len(uris)),
        "track_uri": uris,
        "artist_uri": [None if n % 7 in (0, 1) else f"A{n % 7}" for n in numbers],
        "artist_name": [None if n % 7 == 1 else f" ARTIST  {n % 7}" for n in numbers],
        "album_uri": [None if n % 11 in (0, 1) else f"B{n % 11}" for n in numbers],
        "album_name": [None if n % 11 == 1 else f"Album {n % 11}" for n in numbers],
    }
    rows = [
        (number, ids[uri], position)
        for number, uris_ in enumerate(playlists.values())
        for position, uri in enumerate(uris_)
    ]
    int32 = {"playlist_id": pl.Int32, "track_id": pl.Int32, "position": pl.Int32}
    return Tables(
        pl.DataFrame(
            {"playlist_id": range(len(playlists)), "source_id": list(playlists)},
            schema_overrides={"playlist_id": pl.Int32, "source_id": pl.String},
        ),
        pl.DataFrame(tracks, schema={"track_id": pl.Int32, **dict.fromkeys(list(tracks)[1:], pl.String)}),
        pl.DataFrame(rows, schema=int32, orient="row"),
        memory or split_memory.nothing(),
        pl.DataFrame(list(LISTED.items()), schema=["track_uri", "split"], orient="row"),
    )


def playlists_of(lists: list[list[int]], prefix: str = "p") -> Playlists:
    return {f"{prefix}{number}": [mpd_uri(track) for track in tracks] for number, tracks in enumerate(lists)}


def run(case: str, tables: Tables, config: SplitConfig) -> tuple[pl.DataFrame, Memory]:
    """The kept interactions with names, and what is remembered of them, as the step does it."""
    name, _, dataset = case.partition("_") if case.startswith("paper_") and case != "paper_lists" else (case, "", "mpd")
    policy = policy_named(name, dataset)
    kept = policy.keep(tables, config).join(tables.playlists, on="playlist_id", maintain_order="left")
    kept = kept.join(tables.tracks, on="track_id", maintain_order="left")
    return kept, split_memory.add(tables.memory, kept) if policy.remembers else tables.memory


def by_name(kept: pl.DataFrame) -> Kept:
    found: Kept = {}
    for name, split_, uri in kept.select("source_id", pl.col("split").cast(pl.String), "track_uri").rows():
        assert found.setdefault(name, (split_, []))[0] == split_
        found[name][1].append(uri)
    return found


def roles(kept: pl.DataFrame, tables: Tables, config: SplitConfig) -> dict[tuple[str, str], str]:
    frame = cold_start.draw_holdouts(kept.select(KEPT_COLUMNS), tables.playlists, tables.tracks, config)
    named = frame.join(tables.playlists, on="playlist_id").join(tables.tracks, on="track_id")
    return {(p, t): role for p, t, role in named.select("source_id", "track_uri", "role").rows()}


@pytest.mark.parametrize("case", CASES)
@given(lists=LISTS, config=CONFIGS)
@settings(max_examples=25, deadline=None)
def test_every_policy_equals_its_naive_twin(case, lists, config):
    playlists = playlists_of(lists)
    tables = tables_of(playlists)
    expected = naive_split(case, playlists, config, artist_of, album_of, LISTED)
    kept, _ = run(case, tables, config)
    assert by_name(kept) == expected
    assert roles(kept, tables, config) == naive_holdouts(expected, config)


@pytest.mark.parametrize("case", CASES)
@given(lists=LISTS, config=CONFIGS)
@settings(max_examples=20, deadline=None)
def test_no_policy_ever_leaks(case, lists, config):
    tables = tables_of(playlists_of(lists))
    kept, _ = run(case, tables, config)
    sides = kept.with_columns(pl.col("split").cast(pl.String), track_name=pl.lit(None, pl.String))
    holdouts = cold_start.draw_holdouts(kept.select(KEPT_COLUMNS), tables.playlists, tables.tracks, config)
    report = find_leaks(
        sides.select("playlist_id", "source_id", "split").unique(),
        sides.select("track_id", "track_uri", "track_name", "artist_name", "split").unique(),
        tables.interactions,
        holdouts,
    )
    assert report.is_clean, report.examples
    held_out = kept.filter(pl.col("split") != "train").group_by("playlist_id").len()
    assert (held_out["len"] >= config.min_tracks).all() and (held_out["len"] <= config.max_tracks).all()
    assert set(holdouts["playlist_id"]) == set(held_out["playlist_id"])


@pytest.mark.parametrize(("case", "key_of"), [("artist_cold", artist_of), ("album_cold", album_of)])
@given(lists=LISTS, config=CONFIGS)
@settings(max_examples=20, deadline=None)
def test_no_artist_or_album_crosses_a_split(case, key_of, lists, config):
    kept, _ = run(case, tables_of(playlists_of(lists)), config)
    sides: dict[str, set[str]] = {}
    for split_, tracks in by_name(kept).values():
        for track in tracks:
            sides.setdefault(key_of(track), set()).add(split_)
    assert all(len(found) == 1 for found in sides.values())


@pytest.mark.parametrize("case", CASES)
@given(
    lists=LISTS,
    more=LISTS,
    longer=st.dictionaries(st.integers(0, 24), st.lists(st.integers(61, 120), max_size=9, unique=True), max_size=9),
    config=CONFIGS,
    in_front=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_added_data_moves_nothing_to_another_side(case, lists, more, longer, config, in_front):
    """New playlists, though they come first and change every id, and old ones that grew; twice, one after the other."""
    before, added = playlists_of(lists), playlists_of(more, "q")
    half = dict(list(added.items())[: len(added) // 2])
    grown = {
        name: uris + [mpd_uri(track) for track in longer.get(number, [])]
        for number, (name, uris) in enumerate(before.items())
    }
    stages = [before, half | before if in_front else before | half, grown | added]
    memory, earlier, tracks_seen = split_memory.nothing(), {}, {}
    held_out_before: dict[tuple[str, str], str] = {}
    for playlists in stages:
        tables = tables_of(playlists, memory)
        kept, memory = run(case, tables, config)
        found = by_name(kept)
        sides = {track: side for side, tracks in found.values() for track in tracks}
        assert {name: earlier.get(name, (side,))[0] for name, (side, _) in found.items()} == {
            name: side for name, (side, _) in found.items()
        }
        assert {track: tracks_seen.get(track, side) for track, side in sides.items()} == sides
        drawn = roles(kept, tables, config)
        untouched = {name for name in before if playlists[name] == before[name]}
        assert {pair: role for pair, role in held_out_before.items() if pair[0] in untouched}.items() <= drawn.items()
        assert run(case, replace(tables, memory=memory), config)[0].equals(kept), "the same data again changes nothing"
        earlier, tracks_seen, held_out_before = found | earlier, sides | tracks_seen, drawn


def test_a_train_user_who_comes_later_gets_no_test_track():
    """What `train_first` did before it remembered: a new train listener pulled test tracks over."""
    config = SplitConfig(min_tracks=2, max_tracks=50, playlist_fractions=(0.5, 0.2, 0.3))
    names: dict[str, list[str]] = {name: [] for name in cold_start.SPLITS}
    for name in map(str, range(50)):
        names[side(name, "playlist", config.seed, config.playlist_fractions)].append(name)
    old = {
        names["train"][0]: [mpd_uri(n) for n in range(10)],
        names["valid"][0]: [mpd_uri(n) for n in range(10, 20)],
        names["test"][0]: [mpd_uri(n) for n in range(20, 30)],
    }
    kept, memory = run("train_first", tables_of(old), config)
    test = by_name(kept)[names["test"][0]][1]
    new = old | {names["train"][1]: [*test, *(mpd_uri(n) for n in range(40, 45))]}
    forgetful, _ = run("train_first", tables_of(new), config)
    assert names["test"][0] not in by_name(forgetful) or by_name(forgetful)[names["test"][0]][1] != test
    remembered = by_name(run("train_first", tables_of(new, memory), config)[0])
    assert remembered[names["test"][0]] == ("test", test)
    assert remembered[names["train"][1]] == ("train", [mpd_uri(n) for n in range(40, 45)])


def test_the_paper_policy_goes_by_the_dataset():
    assert policy_named("paper", "lfm").remembers
    assert policy_named("paper", "mpd") is policy_named("paper", "own") is POLICIES["paper"]
    assert [RECIPES["paper"].split.policy_for(dataset) for dataset in ("mpd", "lfm", "own")] == ["paper"] * 3
    with pytest.raises(UserError, match="unknown split policy 'magic'; choose from paper, sampled_tracks"):
        policy_named("magic", "mpd")


def raw_playlists(folder) -> tuple[Playlists, dict[str, tuple[str, str]]]:
    """Straight from the slices: each playlist's different tracks by first position; artist and album of each track."""
    playlists: Playlists = {}
    names: dict[str, tuple[str, str]] = {}
    for path in sorted(folder.glob("mpd.slice.*.json"), key=lambda path: int(path.name.split(".")[2].split("-")[0])):
        for playlist in json.loads(path.read_text(encoding="utf-8"))["playlists"]:
            uris = []
            for track in sorted(playlist["tracks"], key=lambda track: track["pos"]):
                uri = track["track_uri"].removeprefix("spotify:track:")
                names.setdefault(uri, (track["artist_uri"].split(":")[-1], track["album_uri"].split(":")[-1]))
                uris.append(uri)
            playlists.setdefault(str(playlist["pid"]), list(dict.fromkeys(uris)))
    return playlists, names


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "paper_lists"])
def test_split_and_graph_of_real_playlists_equal_the_naive_twin(sample_data, run_steps, name):
    config = SplitConfig(
        policy=(("mpd", name),), playlist_fractions=(0.5, 0.2, 0.3), track_fractions=(0.5, 0.2, 0.3), min_tracks=5
    )
    job = run_steps("interaction_graph", sample_data / "mpd", split=config)
    playlists, names = raw_playlists(sample_data / "mpd")
    case = "paper_mpd" if name == "paper" else name
    expected = naive_split(case, playlists, config, lambda t: names[t][0], lambda t: names[t][1])
    with duckdb.connect(str(job.paths.graph), read_only=True) as connection:
        rows = connection.execute(
            "SELECT p.source_id, i.split, t.track_uri FROM interactions i JOIN playlists p USING (playlist_id) "
            "JOIN tracks t USING (track_id)"
        ).fetchall()
        held_out = connection.execute(
            "SELECT p.source_id, t.track_uri, h.role FROM holdouts h JOIN playlists p USING (playlist_id) "
            "JOIN tracks t USING (track_id)"
        ).fetchall()
    assert sorted(rows) == sorted((p, side, t) for p, (side, tracks) in expected.items() for t in tracks)
    assert {(p, t): role for p, t, role in held_out} == naive_holdouts(expected, config)
