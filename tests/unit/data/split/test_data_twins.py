"""Twins: which titles are one song, and what becomes of songs that stand on both sides of a split."""

from __future__ import annotations

import itertools

import polars as pl
import pytest
from data_files import mpd_track, write_slice
from hypothesis import given, settings
from hypothesis import strategies as st

from larp_core.config import SplitConfig
from larp_core.data.split.leaks import check_leaks, find_leaks
from larp_core.data.split.twins import find_twins, superfluous
from larp_core.data.titles import album_key, artist_key, normalised_title

SAME_SONGS = (
    ("Yesterday", "yesterday (Live)", "Yesterday - Remastered 2009", "YESTERDAY [2011 Remaster]", "Yesterday – Mono"),
    ("Umbrella", "Umbrella (feat. JAY-Z)", "Umbrella ft. Jay-Z - Radio Edit", "Umbrella [Explicit]"),
    ("Lust for Life", "Lust For Life (with The Weeknd)", "Lust for Life [With The Weeknd] - Live"),
    ("Quit Playing Games (With My Heart)", "Quit Playing Games (With My Heart) - Radio Edit"),
    ("Song (Part 2)", "Song, Pt. 2", "Song - Part 2 / Remastered 2009", "Song (Part 2) [Live at Wembley]"),
    ("Song (Part 1)", "Song, Part 1 - Deluxe Edition"),
    ("(I Can't Get No) Satisfaction - Mono Version", "(I Can’t Get No) Satisfaction"),
    ("Let It Go", 'Let It Go - From "Frozen"', "Let It Go (Single Version)", "Let It Go - Live - Bonus Track"),
    ("夜に駆ける", "夜に駆ける - Live", "夜に駆ける（Remastered）"),
    ("Песня", "песня (Deluxe Edition)"),
    ("हिन्दी गीत", "हिन्दी गीत - Acoustic"),
    ("Suite - Allegro", "Suite - Allegro - Remastered"),
    ("Suite - Largo - Remastered",),
    ("Live and Let Die",),
    ("I Want To (Live Forever)",),
    ("I Want To",),
    ("Hey - Skrillex Remix",),
    ("Hey",),
    ("Песня (Ремикс)",),
    ("Mambo No. 5",),
    ("Mambo No. 6",),
    ("Version",),
)


def normalised(titles: list[str]) -> list[str]:
    return (
        pl.DataFrame({"track_name": titles}, schema={"track_name": pl.String})
        .select(normalised_title())
        .to_series()
        .to_list()
    )


def test_pressings_of_a_song_have_one_title_and_other_songs_another():
    found = [set(normalised(list(titles))) for titles in SAME_SONGS]
    assert all(len(titles) == 1 for titles in found), found
    assert all(a.isdisjoint(b) for a, b in itertools.combinations(found, 2))
    assert all(title for titles in found for title in titles)


@given(st.lists(st.text(max_size=40), max_size=8))
@settings(max_examples=100, deadline=None)
def test_any_text_has_a_title_without_case_or_outer_space(titles):
    for title, once in zip(titles, normalised(titles), strict=True):
        assert once == once.strip() and "  " not in once
        assert normalised([f"{title} (Live)"]) == [once] or "(" in title or "[" in title or " - " in title or not once


def test_keys_of_artists_and_albums():
    rows = [
        ("t1", "A1", "The Cure", "B1", "Wish"),
        ("t2", None, " the  CURE", None, "wish "),
        ("t3", "", "The Cure", "", "Wish"),
        ("t4", None, None, None, None),
        ("t5", None, "", None, ""),
    ]
    columns = ["track_uri", "artist_uri", "artist_name", "album_uri", "album_name"]
    keys = pl.DataFrame(rows, schema=columns, orient="row").select(
        artist_key().alias("artist"), album_key().alias("album")
    )
    assert keys["artist"].to_list() == ["A1", "name\nthe cure", "name\nthe cure", "track\nt4", "track\nt5"]
    assert keys["album"].to_list() == ["B1", "name\nthe cure\nwish", "name\nthe cure\nwish", "track\nt4", "track\nt5"]


TRACKS = pl.DataFrame(
    [
        (0, "train", "u0", "Yesterday - Remastered 2009", "The Beatles"),
        (1, "test", "u1", "yesterday (Live)", "the beatles "),
        (2, "test", "u2", "Yesterday", "Boyz II Men"),
        (3, "test", "u3", None, "The Beatles"),
        (4, "valid", "u4", "Help!", "The Beatles"),
        (5, "test", "u5", "Help", "The Beatles"),
        (6, "test", "u6", "Help (Mono)", "The Beatles"),
        (7, "valid", "u7", "Yesterday", "The Beatles"),
        (8, "train", "u8", "Alone", "The Beatles"),
        (9, "train", "u9", "Alone (Live)", "The Beatles"),
    ],
    schema=["track_id", "split", "track_uri", "track_name", "artist_name"],
    orient="row",
)


def test_train_keeps_its_song_and_test_before_valid():
    twins = find_twins(TRACKS)
    assert twins["track_id"].to_list() == [4, 5, 6, 0, 1, 7]
    assert sorted(superfluous(twins)) == [1, 4, 7]
    assert find_twins(TRACKS.filter(~pl.col("track_id").is_in([1, 4, 7]))).is_empty()


def test_a_twin_is_a_leak_where_the_recipe_excludes_them():
    playlists = pl.DataFrame({"playlist_id": [0], "split": ["train"], "source_id": ["a"]})
    none = pl.DataFrame(schema={"playlist_id": pl.Int64, "track_id": pl.Int64, "role": pl.String})
    report = find_leaks(playlists, TRACKS, none.drop("role"), none)
    assert (report.num_twins, report.is_clean) == (2, True)
    assert report.twin_examples == ("the beatles: help", "the beatles: yesterday")
    strict = find_leaks(playlists, TRACKS, none.drop("role"), none, twins="exclude")
    assert not strict.is_clean and "the beatles: help is in more than one split" in strict.examples[0]


@pytest.fixture
def remastered(tmp_path):
    """Sixty playlists over 300 uris of 150 songs: every song has a remaster somewhere."""
    playlists = []
    for pid in range(60):
        numbers = [(pid * 37 + step * 11) % 300 for step in range(60)]
        names = [f"Song {n // 2}" + (" - Remastered 2011" if n % 2 else "") for n in numbers]
        tracks = [
            mpd_track(n, place, track_name=name, artist_name="One", artist_uri="spotify:artist:A" + "0" * 21)
            for place, (n, name) in enumerate(zip(numbers, names, strict=True))
        ]
        playlists.append({"name": "x", "pid": pid, "num_tracks": 60, "tracks": tracks})
    write_slice(tmp_path / "mpd", 0, playlists)
    return tmp_path / "mpd"


def test_exclusion_leaves_no_twin_and_touches_no_train_track(remastered, run_steps):
    job = run_steps("cold_start_split", remastered, split=SplitConfig(min_tracks=3))
    before = pl.read_parquet(job.paths.split_tracks)
    counted = check_leaks(job.paths)
    assert counted.is_clean and counted.num_twins > 20 and not check_leaks(job.paths, "exclude").is_clean
    job = run_steps("cold_start_split", remastered, split=SplitConfig(min_tracks=3, twins="exclude"))
    after, holdouts = pl.read_parquet(job.paths.split_tracks), pl.read_parquet(job.paths.holdouts)
    report = check_leaks(job.paths, "exclude")
    assert report.is_clean and report.num_twins == 0
    assert after.filter(split="train").equals(before.filter(split="train"))
    assert 0 < after.height < before.height and set(after.rows()) < set(before.rows())
    assert set(holdouts["track_id"]) <= set(after["track_id"])
    assert holdouts.group_by("playlist_id").len()["len"].min() >= 3
    assert job.work().facts["num_twins"] == counted.num_twins
