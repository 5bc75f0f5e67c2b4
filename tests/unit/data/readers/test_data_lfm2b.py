"""The LFM-2b reader against a naive reading of the same text, and on odd and damaged files."""

from __future__ import annotations

import bz2
import tempfile
from pathlib import Path

import polars as pl
import pytest
from data_files import write_lfm, write_tsv
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from larp_core.config import IngestConfig
from larp_core.data.readers import lfm2b, lfm_events, lfm_plays
from larp_core.data.readers.chunk import Chunk
from larp_core.data.readers.parts import PartStore
from larp_core.data.readers.rejects import Rejects
from larp_core.runtime.errors import UserError

# No tab, no line end, no other control character at all: what a tab-separated file can hold.
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=15)
QUIET = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(folder: Path) -> tuple[Chunk, dict[str, int]]:
    """The chunk, and the rejected rows by reason."""
    rejects = Rejects()
    with tempfile.TemporaryDirectory() as parts:
        (chunk,) = lfm2b.read_chunks(folder, PartStore(Path(parts), ""), rejects, IngestConfig())
    return chunk, dict(rejects.frame().group_by("reason").agg(pl.col("num_rows").sum()).rows())


def naive_rows(path: Path) -> list[dict[str, str]]:
    header, *lines = bz2.decompress(path.read_bytes()).decode("utf-8").replace("\r\n", "\n").rstrip("\n").split("\n")
    return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]


def naive_playlists(folder: Path) -> dict[str, list[str]]:
    """User -> the different tracks by first play, in plain Python."""
    named = {r["track_id"] for r in naive_rows(folder / "tracks.tsv.bz2") if r["artist_name"] or r["track_name"]}
    uris = {row["track_id"]: row["uri"] for row in reversed(naive_rows(folder / "spotify-uris.tsv.bz2"))}
    playlists: dict[str, list[str]] = {}
    events = naive_rows(folder / "listening-events.tsv.bz2")
    for row in sorted(events, key=lambda row: row["timestamp"]):
        if row["track_id"] in named:
            uri = uris.get(row["track_id"], f"lfm:{row['track_id']}")
            playlist = playlists.setdefault(row["user_id"], [])
            if uri not in playlist:
                playlist.append(uri)
    return playlists


def test_real_sample_equals_the_naive_reading(sample_data):
    chunk, rejected = read(sample_data / "lfm2b")
    ordered = chunk.interactions.sort("source_id", "position").group_by("source_id").agg("track_uri")
    assert dict(ordered.rows()) == naive_playlists(sample_data / "lfm2b")
    assert sum(rejected.values()) + chunk.interactions.height == 60_000
    assert chunk.tracks.height == chunk.tracks["track_uri"].n_unique() == 572


def test_first_plays_do_not_depend_on_the_block_size(sample_data, monkeypatch):
    whole, rejected = read(sample_data / "lfm2b")
    monkeypatch.setattr(lfm_events, "CHUNK_BYTES", 50_000)
    monkeypatch.setattr(lfm_plays, "GROUP_ROWS", 3_000)
    monkeypatch.setattr(lfm_plays, "MERGE_ROWS", 2_000)
    parts, rejected_in_parts = read(sample_data / "lfm2b")
    assert parts.interactions.equals(whole.interactions) and parts.tracks.equals(whole.tracks)
    assert rejected_in_parts == rejected


def test_one_playlist_a_user_by_first_play(tmp_path):
    events = [
        (7, 1, 5, "2020-01-01 00:00:03"),
        (7, 2, 6, "2020-01-01 00:00:01"),
        (9, 2, 6, "2020-01-01 00:00:09"),
        (7, 1, 5, "2020-01-01 00:00:02"),
        (7, 2, 6, "2020-01-01 00:00:08"),
    ]
    write_lfm(tmp_path, events, [(1, "A", "x"), (2, "B", "y")])
    chunk, _ = read(tmp_path)
    rows = chunk.interactions.select("source_id", "track_uri", "position", pl.col("played_at").dt.second()).rows()
    assert rows == [("7", "lfm:2", 0, 1), ("7", "lfm:1", 1, 2), ("9", "lfm:2", 0, 9)]
    assert chunk.tracks.select("track_uri", "album_uri", "album_name").rows() == [
        ("lfm:2", "lfm:6", None),
        ("lfm:1", "lfm:5", None),
    ]


def test_ids_of_one_uri_are_one_track_and_odd_uris_fall_back(tmp_path):
    uri = "4wCmqSrbyCgxEXROQE6vtV"
    events = [(1, track, -1, f"2020-01-01 00:00:0{track}") for track in (3, 2, 1, 4)]
    uris = [(1, f"spotify:track:{uri}"), (2, uri), (3, "../../x")]
    write_lfm(tmp_path, events, [(n, "A", f"name {n}") for n in (1, 2, 3)], uris)
    chunk, rejected = read(tmp_path)
    assert chunk.interactions.select("track_uri", "position").rows() == [(uri, 0), ("lfm:3", 1)]
    assert chunk.tracks.select("track_name", "album_uri").rows() == [("name 1", None), ("name 3", None)]
    assert rejected == {lfm2b.REPEATED_URI: 1, lfm2b.NO_NAME: 1}


def test_headers_by_alias_plain_text_and_crlf(tmp_path):
    rows = [("x", "2020-01-01 00:00:00", 1, 8), ("y", 1_577_836_801, 2, 8), ("z", "soon", 2, 8), ("z", "", 3, "")]
    write_tsv(tmp_path, "listening_events", "extra timestamp track_id uid", rows, "\r\n", packed=False)
    write_tsv(
        tmp_path, "tracks", "track_name artist_name track_id", [("x", "A", 1), ('"', "", 2)], "\r\n", packed=False
    )
    write_tsv(tmp_path, "albums", "album_id album_name artist_name", [(1, "x", "y")], packed=False)
    chunk, rejected = read(tmp_path)
    assert chunk.interactions.select("source_id", "track_uri").rows() == [("8", "lfm:1"), ("8", "lfm:2")]
    assert chunk.tracks.select("track_name", "artist_name").rows() == [("x", "A"), ('"', None)]
    assert rejected == {lfm_events.UNREADABLE_ID: 1, lfm_events.UNREADABLE_TIME: 1}


def test_album_names_come_from_the_albums_file(tmp_path):
    write_lfm(
        tmp_path, [(1, 1, 30, "2020-01-01 00:00:00"), (1, 2, 31, "2020-01-01 00:00:01")], [(1, "A", "x"), (2, "A", "y")]
    )
    write_tsv(tmp_path, "albums", "album_id album_name artist_name", [(29, "no", "A"), (30, "yes", "A")])
    assert read(tmp_path)[0].tracks["album_name"].to_list() == ["yes", None]


@given(names=st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=6), end=st.sampled_from(["\n", "\r\n"]))
@QUIET
def test_any_name_survives(tmp_path, names, end):
    rows = [(number, artist, track) for number, (artist, track) in enumerate(names)]
    write_lfm(tmp_path, [(1, number, 0, "2020-01-01 00:00:00") for number, *_ in rows], [])
    write_tsv(tmp_path, "tracks", "track_id artist_name track_name", rows, end)
    found = read(tmp_path)[0].tracks.select("track_uri", "artist_name", "track_name").rows()
    assert found == [(f"lfm:{number}", artist, track) for number, artist, track in rows]


@given(noise=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=25), max_size=8))
@QUIET
def test_noise_among_the_events_is_counted_and_the_rest_is_kept(tmp_path, noise):
    good = [f"{user}\t1\t2\t2020-01-01 00:00:00" for user in range(3)]
    lines = [line for pair in zip(good, [*noise, *[""] * 3], strict=False) for line in pair] + noise
    text = "user_id\ttrack_id\talbum_id\ttimestamp\n" + "\n".join(lines) + "\n"
    write_tsv(tmp_path, "tracks", "track_id artist_name track_name", [(1, "A", "x")])
    (tmp_path / "listening-events.tsv.bz2").write_bytes(bz2.compress(text.encode()))
    chunk, rejected = read(tmp_path)
    assert set(chunk.interactions["source_id"]) >= {"0", "1", "2"}
    num_lines = len(text.removesuffix("\n").split("\n")) - 1
    assert sum(rejected.values()) == num_lines - chunk.interactions.height


def test_a_missing_column_is_named(tmp_path):
    write_lfm(tmp_path, [(1, 1, 1, "2020-01-01 00:00:00")], [(1, "A", "x")])
    write_tsv(tmp_path, "listening-events", "user_id song timestamp", [(1, 1, "2020-01-01 00:00:00")])
    with pytest.raises(UserError, match=r"listening-events.tsv.bz2: no column track_id or tid in the header"):
        read(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "text", "nothing"])
def test_archives_with_nothing_sound_are_refused(tmp_path, damage):
    write_lfm(tmp_path, [(1, 1, 1, "2020-01-01 00:00:00")], [(1, "A", "x")])
    path = tmp_path / "listening-events.tsv.bz2"
    raw = path.read_bytes()
    path.write_bytes({"cut": raw[: len(raw) // 2], "text": b"user_id\ttrack_id", "nothing": b""}[damage])
    with pytest.raises(UserError, match=r"listening-events\.tsv\.bz2") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_events_without_rows_are_refused(tmp_path):
    write_lfm(tmp_path, [], [(1, "A", "x")])
    with pytest.raises(UserError, match="holds a header and no events"):
        read(tmp_path)
