"""The MPD reader against a naive reading of the same JSON, and on mangled files."""

from __future__ import annotations

import html
import json

import polars as pl
import pytest
from data_files import mpd_playlist, mpd_track, mpd_uri, write_slice
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_mpd import NaiveTables, read_naively
from read_mpd import read

from larp_core.data.readers import mpd
from larp_core.data.readers.chunk import TRACK_SCHEMA
from larp_core.data.readers.mpd_slice import (
    BAD_URI,
    EMPTY,
    NO_LIST,
    NO_TRACKS,
    NO_USABLE_TRACK,
    NOT_JSON,
    REPEAT,
    SAME_PID,
    read_slice,
)
from larp_core.data.readers.parts import Reading

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda x: st.lists(x, max_size=3),
    max_leaves=5,
)
URIS = st.sampled_from([f"{prefix}{mpd_uri(n)}" for n in range(4) for prefix in ("spotify:track:", "", " ")])
NAMES = st.text(st.sampled_from("ab &;#x1fltqo \t\u00a0\x1c\u3000é"), max_size=9)
ENTRIES = st.lists(
    JSON_VALUES
    | st.builds(lambda n, p, name: mpd_track(n, p, track_name=name), st.integers(0, 5), st.integers(-3, 9), NAMES)
    | st.fixed_dictionaries({}, optional={"track_uri": URIS | JSON_VALUES, "pos": JSON_VALUES, "album_uri": URIS})
    | st.fixed_dictionaries({"track_uri": URIS, "duration_ms": JSON_VALUES, "artist_name": NAMES | JSON_VALUES}),
    max_size=8,
)
PLAYLISTS = st.lists(
    JSON_VALUES
    | st.fixed_dictionaries({"pid": st.integers(0, 5) | JSON_VALUES, "tracks": ENTRIES, "name": NAMES | JSON_VALUES})
    | st.fixed_dictionaries({"tracks": JSON_VALUES}),
    max_size=6,
)
QUIET = settings(max_examples=200, deadline=None)


def counts(rejects: pl.DataFrame) -> dict[str, int]:
    return dict(rejects.group_by("reason").agg(pl.col("num_rows").sum()).iter_rows())


def as_naive(reading: Reading) -> NaiveTables:
    frames = reading.frames
    playlists, tracks = frames["playlists"], frames["tracks"]
    interactions = {
        (playlists["source_id"][row], tracks["track_uri"][track]): position
        for row, track, position in frames["interactions"].iter_rows()
    }
    fields = {row[0]: row[1:] for row in tracks.iter_rows()}
    return NaiveTables(reading.num_rows, dict(playlists.select("source_id", "name").iter_rows()), fields, interactions)


def test_real_sample_equals_the_naive_reading(sample_data, tmp_path):
    files = mpd.find_files(sample_data / "mpd")
    playlists, tracks, interactions, rejects = read(sample_data / "mpd", tmp_path)
    naive = read_naively(files)
    assert dict(playlists.select("source_id", "name").iter_rows()) == naive.playlists
    assert {(source_id, uri): position for source_id, uri, position in interactions.iter_rows()} == naive.interactions
    first = tracks.unique("track_uri", keep="first", maintain_order=True)
    assert {row[0]: row[1:] for row in first.iter_rows()} == naive.tracks
    assert interactions.height + rejects["num_rows"].sum() == naive.num_rows == 19_044
    assert (playlists.height, first.height) == (300, 13_292)


@given(playlists=PLAYLISTS)
@QUIET
def test_any_playlists_equal_the_naive_reading_and_no_row_is_lost(playlists):
    reading = read_slice(json.dumps({"playlists": playlists}).encode(), "x.json")
    assert as_naive(reading) == NaiveTables().add(json.loads(json.dumps(playlists)))
    rejects = reading.frames["rejects"]
    assert reading.num_rows == reading.num_kept + rejects["num_rows"].sum()
    assert reading.num_kept == reading.frames["interactions"].height
    assert dict(reading.frames["tracks"].schema) == TRACK_SCHEMA
    used = reading.frames["interactions"]
    assert set(used["track_row"]) == set(range(reading.frames["tracks"].height))
    assert set(used["playlist_row"]) == set(range(reading.frames["playlists"].height))


@given(
    playlists=st.lists(st.builds(mpd_playlist, st.integers(0, 9), st.lists(st.integers(0, 9), max_size=4)), max_size=4),
    indent=st.none() | st.just(1),
    cut=st.floats(0, 1),
)
@QUIET
def test_a_slice_cut_off_anywhere_keeps_the_playlists_before_the_cut(playlists, indent, cut):
    content = json.dumps({"info": {}, "playlists": playlists}, indent=indent).encode()
    end = int(len(content) * cut)
    reading = read_slice(content[:end], "x.json")
    complete = 0
    decoder, text = json.JSONDecoder(), content.decode()
    at = text.index("[", text.index('"playlists"')) + 1
    for _ in playlists:
        at = decoder.raw_decode(text, at + len(text[at:]) - len(text[at:].lstrip(" \n,")))[1]
        complete += at <= end
    expected = NaiveTables().add(playlists[:complete])
    found = as_naive(reading)
    assert (found.playlists, found.interactions) == (expected.playlists, expected.interactions)
    assert reading.num_rows == reading.num_kept + reading.frames["rejects"]["num_rows"].sum()
    if complete < len(playlists):
        assert reading.num_rows == expected.num_rows + 1
        assert set(reading.frames["rejects"]["reason"]) & {NOT_JSON, "empty file"}


@given(content=st.binary(max_size=60), at=st.integers(0, 500), size=st.integers(0, 40))
@QUIET
def test_bytes_overwritten_anywhere_never_raise(content, at, size):
    whole = json.dumps({"playlists": [mpd_playlist(1, [1, 2]), mpd_playlist(2, [2])]}).encode()
    reading = read_slice(whole[:at] + content + whole[at + size :], "x.json")
    assert reading.num_rows == reading.num_kept + reading.frames["rejects"]["num_rows"].sum()


@pytest.mark.parametrize(
    ("content", "reason", "place", "num_kept"),
    [
        ('{"playlists": [{"pid": 1, "tra', NOT_JSON, "playlists[0]", 0),
        ("", "empty file", "", 0),
        ('{"info": {}}', NO_LIST, "", 0),
        ("[1, 2]", NO_LIST, "", 0),
        ('{"playlists": {"a": 1}}', NO_LIST, "", 0),
        ('{"playlists": [' + "[" * 100_000, NOT_JSON, "playlists[0]", 0),
        (json.dumps({"playlists": [mpd_playlist(1, [1, 2])]})[:-2] + ' {"pid"', NOT_JSON, "after playlists[0]", 2),
    ],
)
def test_a_broken_file_is_one_reject_with_its_place(content, reason, place, num_kept):
    reading = read_slice(content.encode(), "x.json")
    assert reading.frames["rejects"].rows() == [("x.json", reason, 1, place)]
    assert (reading.num_kept, reading.num_rows) == (num_kept, num_kept + 1)


def test_half_a_surrogate_pair_and_nan_are_no_reason_to_lose_a_slice():
    playlist = mpd_playlist(1, [1], name="half \ud83d", odd=float("nan"))
    reading = read_slice(b"\xef\xbb\xbf" + json.dumps({"playlists": [playlist]}).encode(), "x.json")
    assert reading.frames["playlists"]["name"].to_list() == ["half \ufffd"]
    assert reading.num_kept == reading.num_rows == 1


def test_a_repeated_track_is_one_interaction_at_its_first_position(tmp_path):
    write_slice(tmp_path / "mpd", 0, [mpd_playlist(5, [1, 2, 1, 3, 2])])
    *_, interactions, rejects = read(tmp_path / "mpd")
    assert interactions.rows() == [("5", mpd_uri(1), 0), ("5", mpd_uri(2), 1), ("5", mpd_uri(3), 3)]
    assert rejects.rows() == [("mpd.slice.0-999.json", REPEAT, 2, "playlists[0].tracks[2]")]


def test_each_row_has_one_reason_and_the_place_of_its_first():
    no_uri = mpd_track(1, 0, track_uri=None)
    playlists = [
        "nonsense",
        mpd_playlist(1, [3], tracks=[mpd_track(3, 0), no_uri]),
        mpd_playlist(2, [], tracks=[no_uri, no_uri]),
        mpd_playlist(3, []),
        mpd_playlist(1, [4, 5, 6]),
        mpd_playlist(True, [4]),
    ]
    rejects = read_slice(json.dumps({"playlists": playlists}).encode(), "x").frames["rejects"]
    assert {(reason, rows, place) for _, reason, rows, place in rejects.iter_rows()} == {
        (NO_TRACKS, 1, "playlists[0]"),
        (BAD_URI, 1, "playlists[1].tracks[1]"),
        (NO_USABLE_TRACK, 2, "playlists[2].tracks[0]"),
        (EMPTY, 1, "playlists[3]"),
        (SAME_PID, 3, "playlists[4].tracks[0]"),
        ("playlists without a `pid`", 1, "playlists[5]"),
    }


def test_slices_are_read_in_numeric_order(tmp_path):
    for first in (10_000, 9_000):
        write_slice(tmp_path / "mpd", first, [mpd_playlist(first, [1])])
    assert read(tmp_path / "mpd")[0]["source_id"].to_list() == ["9000", "10000"]


def test_entities_are_decoded_and_bare_ampersands_are_not():
    tracks = [
        mpd_track(1, 0, track_name="Rock &amp; Roll &#39;n&#x27; you", artist_name="AT&T &notanentity"),
        mpd_track(2, 1, track_name="  ", album_name=None, duration_ms=-1, artist_name="&nbsp;"),
    ]
    texts = {"name": "R&amp;B &lt;3", "description": "Kids&#x27; &amp; mine"}
    playlist = mpd_playlist(1, [], **texts, tracks=tracks)
    frames = read_slice(json.dumps({"playlists": [playlist]}).encode(), "x").frames
    assert frames["playlists"]["description"][0] == "Kids' & mine"
    assert frames["playlists"]["name"][0] == "R&B <3"
    assert frames["tracks"].row(0, named=True)["track_name"] == "Rock & Roll 'n' you"
    assert frames["tracks"].row(0, named=True)["artist_name"] == "AT&T &notanentity"
    assert frames["tracks"].select("track_name", "album_name", "duration_ms", "artist_name").row(1) == (None,) * 4


@given(name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip))
@settings(max_examples=50, deadline=None)
def test_any_name_survives(name):
    escaped = html.escape(name)
    playlist = mpd_playlist(1, [], name=escaped, tracks=[mpd_track(1, 0, track_name=escaped)])
    frames = read_slice(json.dumps({"playlists": [playlist]}).encode(), "x").frames
    assert frames["playlists"]["name"][0] == name and frames["tracks"]["track_name"][0] == name


def test_uris_that_could_leave_the_folder_are_refused():
    tracks = [mpd_track(1, 0, track_uri=uri) for uri in ("../../etc/passwd", "spotify:track:..", "a/b", "x" * 65)]
    playlist = mpd_playlist(1, [3], tracks=[*tracks, mpd_track(3, 4)])
    reading = read_slice(json.dumps({"playlists": [playlist]}).encode(), "x")
    assert reading.frames["tracks"]["track_uri"].to_list() == [mpd_uri(3)]
    assert counts(reading.frames["rejects"]) == {BAD_URI: 4}


def test_an_unreadable_slice_is_rejected_and_the_rest_goes_on(tmp_path):
    write_slice(tmp_path / "mpd", 0, [mpd_playlist(1, [1, 2])])
    (tmp_path / "mpd" / "mpd.slice.1000-1999.json").symlink_to(tmp_path / "gone.json")
    (tmp_path / "mpd" / "mpd.slice.2000-2999.json").mkdir()
    *_, interactions, rejects = read(tmp_path / "mpd")
    assert interactions.height == 2
    assert [(file, reason.split(" (")[0], rows) for file, reason, rows, _ in rejects.iter_rows()] == [
        ("mpd.slice.1000-1999.json", "cannot be read", 1),
        ("mpd.slice.2000-2999.json", "cannot be read", 1),
    ]
