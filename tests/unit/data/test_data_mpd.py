"""The MPD reader against a naive reading of the same JSON, and on mangled files."""

from __future__ import annotations

import html
import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from data_files import mpd_playlist, mpd_track, mpd_uri, write_slice
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from larp_core.data import mpd
from larp_core.errors import UserError

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda x: st.lists(x, max_size=3), max_leaves=5
)


def read(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, Counter[str]]:
    dropped: Counter[str] = Counter()
    chunks = list(mpd.read_chunks(folder, dropped))
    return (
        pl.concat(chunk.playlists for chunk in chunks),
        pl.concat(chunk.tracks for chunk in chunks),
        pl.concat(chunk.interactions for chunk in chunks),
        dropped,
    )


def naive_interactions(folder: Path) -> set[tuple[str, str, int]]:
    rows = set()
    for path in folder.glob("*.json"):
        for playlist in json.loads(path.read_text(encoding="utf-8"))["playlists"]:
            seen = set()
            for entry in sorted(playlist["tracks"], key=lambda entry: entry["pos"]):
                uri = entry["track_uri"].split(":")[-1]
                if uri not in seen:
                    seen.add(uri)
                    rows.add((str(playlist["pid"]), uri, entry["pos"]))
    return rows


def test_real_sample_equals_the_naive_reading(sample_data):
    playlists, tracks, interactions, dropped = read(sample_data / "mpd")
    assert set(interactions.select("source_id", "track_uri", "position").rows()) == naive_interactions(
        sample_data / "mpd"
    )
    assert interactions.height + sum(dropped.values()) == 19_044
    assert (playlists.height, tracks["track_uri"].n_unique()) == (300, 13_292)
    assert tracks["duration_ms"].min() > 0


def test_a_repeated_track_is_one_interaction_at_its_first_position(tmp_path):
    write_slice(tmp_path, 0, [mpd_playlist(5, [1, 2, 1, 3, 2])])
    *_, interactions, dropped = read(tmp_path)
    assert interactions.select("track_uri", "position").rows() == [(mpd_uri(1), 0), (mpd_uri(2), 1), (mpd_uri(3), 3)]
    assert dropped["repeats of a track within a playlist (kept once)"] == 2


def test_slices_are_read_in_numeric_order(tmp_path):
    for first in (10_000, 9_000):
        write_slice(tmp_path, first, [mpd_playlist(first, [1])])
    assert read(tmp_path)[0]["source_id"].to_list() == ["9000", "10000"]


def test_entities_are_decoded_and_bare_ampersands_are_not(tmp_path):
    tracks = [
        mpd_track(1, 0, track_name="Rock &amp; Roll &#39;n&#x27; you", artist_name="AT&T &notanentity"),
        mpd_track(2, 1, track_name="  ", album_name=None, duration_ms=-1),
    ]
    write_slice(tmp_path, 0, [mpd_playlist(1, [], name="R&amp;B &lt;3", tracks=tracks)])
    playlists, found, _, _ = read(tmp_path)
    assert playlists["name"][0] == "R&B <3"
    assert found.row(0, named=True)["track_name"] == "Rock & Roll 'n' you"
    assert found.row(0, named=True)["artist_name"] == "AT&T &notanentity"
    assert found.select("track_name", "album_name", "duration_ms").row(1) == (None, None, None)


@given(name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_name_survives(tmp_path, name):
    escaped = html.escape(name)
    write_slice(tmp_path, 0, [mpd_playlist(1, [], name=escaped, tracks=[mpd_track(1, 0, track_name=escaped)])])
    playlists, tracks, _, _ = read(tmp_path)
    assert playlists["name"][0] == name and tracks["track_name"][0] == name


@given(
    entries=st.lists(
        st.one_of(
            JSON_VALUES,
            st.builds(lambda n, p, f: mpd_track(n, p, **f), st.integers(0, 5), st.integers(-3, 9), st.just({})),
            st.dictionaries(st.sampled_from(["track_uri", "pos", "track_name", "duration_ms"]), JSON_VALUES),
        ),
        max_size=8,
    ),
    pid=JSON_VALUES,
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mangled_playlists_lose_nothing_silently(tmp_path, entries, pid):
    write_slice(tmp_path, 0, [mpd_playlist(1, [7]), {"pid": pid, "name": 3, "tracks": entries}, "nonsense", None])
    playlists, tracks, interactions, dropped = read(tmp_path)
    assert dropped["playlists without a list `tracks`"] == 2
    assert playlists.height + sum(n for reason, n in dropped.items() if reason.startswith("playlists")) == 4
    assert interactions["track_uri"].is_in(tracks["track_uri"].implode()).all()
    if playlists.height == 2:
        bad = dropped["entries without a well-formed `track_uri`"]
        repeats = dropped["repeats of a track within a playlist (kept once)"]
        assert interactions.height - 1 + bad + repeats == len(entries)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"playlists": [{"pid": 1, "tra', "not valid JSON"),
        ("", "not valid JSON"),
        ('{"info": {}}', "field `playlists`"),
        ("[1, 2]", "field `playlists`"),
        ('{"playlists": {"a": 1}}', "field `playlists`"),
    ],
)
def test_a_broken_slice_is_named_with_its_field(tmp_path, content, expected):
    (tmp_path / "mpd.slice.0-999.json").write_text(content)
    with pytest.raises(UserError, match=expected) as caught:
        read(tmp_path)
    assert "mpd.slice.0-999.json" in str(caught.value) and "\n" not in str(caught.value)


def test_uris_that_could_leave_the_folder_are_refused(tmp_path):
    tracks = [mpd_track(1, 0, track_uri=uri) for uri in ("../../etc/passwd", "spotify:track:..", "a/b", "x" * 65)]
    write_slice(tmp_path, 0, [mpd_playlist(1, [3], tracks=[*tracks, mpd_track(3, 4)])])
    *_, interactions, dropped = read(tmp_path)
    assert interactions["track_uri"].to_list() == [mpd_uri(3)]
    assert dropped["entries without a well-formed `track_uri`"] == 4
