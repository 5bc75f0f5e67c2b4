"""The dataset `own`: a folder of real songs with playlists, read, mended and refused."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from own_files import write_m3u, write_song

from larp_core.config import IngestConfig
from larp_core.config.recipes import SMALL_OWN
from larp_core.data.readers import entry_paths, own
from larp_core.data.readers.own_folder import track_uri
from larp_core.data.readers.parts import PartStore
from larp_core.data.readers.rejects import Rejects
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import hash_file


def read(folder: Path, cache: Path):
    """Playlists `source_id -> name`, their paths in order, tracks by uri, rejects `reason -> count`."""
    rejects = Rejects()
    (chunk,) = own.read_chunks(folder, PartStore(cache, "x"), rejects, IngestConfig())
    names = dict(chunk.playlists.select("source_id", "name").rows())
    lists = {
        source_id: chunk.interactions.filter(source_id=source_id).sort("position")["track_uri"].to_list()
        for source_id in names
    }
    tracks = {row["track_uri"]: row for row in chunk.tracks.iter_rows(named=True)}
    counts: Counter[str] = Counter()
    for _, reason, count, _ in rejects.frame().iter_rows():
        counts[reason] += count
    return names, lists, tracks, counts


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    write_song(folder / "Nina" / "Pastel" / "Sinnerman.mp3", title="Sinnerman", artist="Nina Simone", album="Pastel")
    write_song(folder / "Nina" / "Pastel" / "Tomorrow.flac", title="Tomorrow", artist="Nina Simone", album="Pastel")
    write_song(folder / "Björk" / "Jóga.ogg", title="Jóga", artist="Björk")
    write_song(folder / "loose" / "Some Name.m4a")
    write_song(folder / "loose" / "Unheard.wav")
    return folder


def uris(*paths: str) -> list[str]:
    return [track_uri(path) for path in paths]


def test_playlists_of_both_kinds(library, tmp_path):
    write_m3u(
        library / "lists" / "b.m3u8", ["#EXTM3U", "#PLAYLIST:Sundays", "../Björk/Jóga.ogg", "../loose/Some Name.m4a"]
    )
    write_m3u(library / "a.m3u", ["Björk\\Jóga.ogg", "Nina/Pastel/Sinnerman.mp3"], encoding="cp1252", end="\r\n")
    (library / "playlists.csv").write_text("playlist,track\nCSV,Nina/Pastel/Tomorrow.flac\nCSV,sinnerman.MP3\n")
    names, lists, tracks, rejects = read(library, tmp_path)
    assert names == {"a.m3u": "a", "lists/b.m3u8": "Sundays", "playlists.csv/CSV": "CSV"}
    assert lists == {
        "a.m3u": uris("Björk/Jóga.ogg", "Nina/Pastel/Sinnerman.mp3"),
        "lists/b.m3u8": uris("Björk/Jóga.ogg", "loose/Some Name.m4a"),
        "playlists.csv/CSV": uris("Nina/Pastel/Tomorrow.flac", "Nina/Pastel/Sinnerman.mp3"),
    }
    assert rejects == {own.IN_NO_PLAYLIST: 1}
    sinnerman = tracks[track_uri("Nina/Pastel/Sinnerman.mp3")]
    assert (sinnerman["track_name"], sinnerman["artist_name"], sinnerman["album_name"]) == (
        "Sinnerman",
        "Nina Simone",
        "Pastel",
    )
    assert sinnerman["artist_uri"] is None and sinnerman["duration_ms"] == pytest.approx(500, abs=100)


def test_names_come_from_tags_then_extinf_then_the_files_name(library, tmp_path):
    broken = library / "loose" / "03 Broken.mp3"
    broken.write_bytes(b"no audio at all")
    lines = [
        "#EXTINF:9,Wrong - Wrong",
        "Björk/Jóga.ogg",
        "#EXTINF:201,X - Y",
        "loose/Some Name.m4a",
        "loose/03 Broken.mp3",
    ]
    write_m3u(library / "a.m3u8", lines)
    _, _, tracks, _ = read(library, tmp_path)
    found = {row["track_name"]: row["artist_name"] for row in tracks.values()}
    assert found == {"Jóga": "Björk", "Y": "X", "03 Broken": None}


def test_what_cannot_be_kept_has_its_reason_and_place(library, tmp_path):
    lines = [
        *("http://x/y.mp3", "../outside.mp3", "Nina/gone.mp3", "notes.txt", "Björk/Jóga.ogg", "Björk/jóga.OGG"),
        "loose/../Björk/Jóga.ogg",
    ]
    write_m3u(library / "a.m3u8", lines)
    write_m3u(library / "b.m3u8", ["#EXTM3U"])
    write_m3u(library / "c.m3u8", ["Björk/Jóga.ogg"])
    write_m3u(library / "c.m3u", ["Björk/Jóga.ogg", "Nina/gone.mp3"])
    (library / "playlists.csv").write_text("track,playlist,when\nJóga.ogg,,x\nsame.mp3,A,x\n")
    write_song(library / "x" / "same.mp3")
    write_song(library / "y" / "same.mp3")
    names, lists, _, rejects = read(library, tmp_path)
    assert lists == {"a.m3u8": uris("Björk/Jóga.ogg"), "c.m3u8": uris("Björk/Jóga.ogg")} and list(names) == list(lists)
    assert rejects == {
        entry_paths.WEB: 1,
        entry_paths.OUTSIDE: 1,
        entry_paths.MISSING: 1,
        entry_paths.NOT_AUDIO: 1,
        entry_paths.SEVERAL: 1,
        own.REPEAT: 2,
        own.EMPTY: 1,
        own.SAME_AS_M3U8: 2,
        own.INCOMPLETE: 1,
        own.IN_NO_PLAYLIST: 6,
    }


def test_rejects_say_where(library, tmp_path):
    write_m3u(library / "a.m3u8", ["#EXTM3U", "Björk/Jóga.ogg", "Nina/gone.mp3"])
    rejects = Rejects()
    list(own.read_chunks(library, PartStore(tmp_path, "x"), rejects, IngestConfig()))
    row = rejects.frame().row(by_predicate=pl.col("reason") == entry_paths.MISSING, named=True)
    assert (row["file"], row["first_place"]) == ("a.m3u8", "line 3: Nina/gone.mp3")


def test_added_music_moves_no_id_and_bytes_repeat(library, make_job):
    write_m3u(library / "m.m3u8", ["Björk/Jóga.ogg", "Nina/Pastel/Sinnerman.mp3"])
    job = make_job("playlists", library, "own")
    written = (job.paths.playlists, job.paths.tracks, job.paths.interactions, job.paths.rejects)
    job.work()
    before = pl.read_parquet(job.paths.tracks)
    digests = [hash_file(path) for path in written]
    job.work()
    assert [hash_file(path) for path in written] == digests
    write_song(library / "A new one.mp3", title="First in the alphabet")
    write_m3u(library / "a.m3u8", ["A new one.mp3", "Björk/Jóga.ogg"])
    job.work()
    after = pl.read_parquet(job.paths.tracks)
    assert after.height == 3 and after.head(2).equals(before)


def test_a_corrected_tag_changes_a_name_and_no_id(library, make_job):
    write_m3u(library / "m.m3u8", ["Björk/Jóga.ogg", "Nina/Pastel/Sinnerman.mp3"])
    job = make_job("playlists", library, "own")
    job.work()
    before = pl.read_parquet(job.paths.tracks)
    write_song(library / "Björk" / "Jóga.ogg", title="Jóga (live)", artist="Björk")
    job.work()
    after = pl.read_parquet(job.paths.tracks)
    assert after["track_name"].to_list() == ["Jóga (live)", "Sinnerman"]
    assert after.select("track_id", "track_uri").equals(before.select("track_id", "track_uri"))


def refusal(job) -> str:
    with pytest.raises(UserError) as caught:
        job.work()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_without_playlists_says_how_to_make_one(library, make_job):
    message = refusal(make_job("source", library, "own"))
    assert message.startswith("LARP_OWN_DIR: ") and "'playlist,track'" in message and "m3u" in message


def test_an_empty_folder(tmp_path, make_job):
    (tmp_path / "empty").mkdir()
    message = refusal(make_job("source", tmp_path / "empty", "own"))
    assert "LARP_OWN_DIR" in message and "is empty" in message and "playlists.csv" in message


def test_playlists_without_music(tmp_path, make_job):
    write_m3u(tmp_path / "lists" / "a.m3u8", ["a.mp3"])
    assert "playlists and no audio" in refusal(make_job("playlists", tmp_path / "lists", "own"))


def test_a_csv_without_a_column_names_file_and_remedy(library, make_job):
    (library / "playlists.csv").write_text("name,track\nA,Björk/Jóga.ogg\n")
    message = refusal(make_job("playlists", library, "own"))
    assert str(library / "playlists.csv") in message and "no column 'playlist'" in message


def test_a_csv_without_a_usable_row_says_why(library, make_job):
    (library / "playlists.csv").write_text("playlist,track\nA,gone.mp3\nA,http://x/y.mp3\n")
    message = refusal(make_job("playlists", library, "own"))
    assert f"1 {entry_paths.MISSING}" in message and f"1 {entry_paths.WEB}" in message


def test_a_library_too_small_for_the_recipe_says_what_to_lower(library, run_steps):
    write_m3u(library / "m.m3u8", ["Björk/Jóga.ogg", "Nina/Pastel/Sinnerman.mp3"])
    with pytest.raises(UserError, match=r"own: .*lower split.min_tracks"):
        run_steps("cold_start_split", library, "own")


def test_the_recommended_recipe_splits_a_small_library(tmp_path, run_steps):
    """Thirty playlists of 15 to 40 of 300 songs: every split has playlists, and each of them seeds and targets."""
    folder = tmp_path / "music"
    names = [f"{n:03}.mp3" for n in range(300)]
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    for n in range(30):
        write_m3u(folder / f"list {n}.m3u8", [names[(37 * n + 11 * i * (n % 5 + 1)) % 300] for i in range(15 + n)])
    job = run_steps("cold_start_split", folder, "own", split=SMALL_OWN.split)
    holdouts = pl.read_parquet(job.paths.holdouts)
    assert holdouts.group_by("playlist_id").agg(pl.col("role").n_unique())["role"].unique().to_list() == [2]
    splits = dict(pl.read_parquet(job.paths.split_playlists)["split"].value_counts().iter_rows())
    assert min(splits.get(name, 0) for name in ("train", "valid", "test")) >= 4, splits


LINES = st.one_of(
    st.sampled_from(
        ["a.mp3", "B/b.mp3", "b/B.MP3", "B\\b.mp3", "./a.mp3", "http://x/a.mp3", "gone.mp3", "../a.mp3", "x"]
    ),
    st.sampled_from(["#EXTINF:1,x - y", "#EXTM3U", "#PLAYLIST:", "#PLAYLIST:name", "", "   "]),
    st.text(max_size=20),
)
RELAXED = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def two_songs(tmp_path) -> Path:
    write_song(tmp_path / "music" / "a.mp3")
    write_song(tmp_path / "music" / "B" / "b.mp3")
    return tmp_path / "music"


@RELAXED
@given(
    lines=st.lists(LINES, max_size=15),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_every_entry_of_a_mangled_m3u_is_kept_or_rejected(two_songs, tmp_path, lines, encoding, end):
    content = end.join(lines).encode(encoding, "replace")
    (two_songs / "list.m3u").write_bytes(content)
    naive = content.decode(encoding, "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    num_entries = sum(bool(line.strip()) and not line.strip().startswith("#") for line in naive)
    _, lists, _, rejects = read(two_songs, tmp_path / "cache")
    num_kept = sum(map(len, lists.values()))
    num_unused = rejects.pop(own.IN_NO_PLAYLIST, 0)
    assert num_kept + sum(rejects.values()) == (num_entries or 1)
    assert num_kept + num_unused == 2


@RELAXED
@given(rows=st.lists(st.tuples(st.sampled_from(["A", "B", "", " A "]), LINES), max_size=15))
def test_every_row_of_a_csv_is_kept_or_rejected(two_songs, tmp_path, rows):
    text = io.StringIO()
    csv.writer(text).writerows([("playlist", "track"), *rows])
    (two_songs / "playlists.csv").write_bytes(text.getvalue().encode("utf-8", "replace"))
    _, lists, _, rejects = read(two_songs, tmp_path / "cache")
    rejects.pop(own.IN_NO_PLAYLIST, 0)
    assert sum(map(len, lists.values())) + sum(rejects.values()) == len(rows)


@RELAXED
@given(content=st.binary(max_size=300), header=st.booleans())
def test_no_bytes_end_in_a_traceback(two_songs, tmp_path, content, header):
    write_m3u(two_songs / "good.m3u8", ["a.mp3"])
    (two_songs / "bad.m3u").write_bytes(content)
    (two_songs / "playlists.csv").write_bytes(b"playlist,track\n" * header + content)
    try:
        _, lists, _, _ = read(two_songs, tmp_path / "cache")
    except UserError as error:
        assert not header and "playlists.csv, line 1" in str(error)
    else:
        assert lists["good.m3u8"] == uris("a.mp3")
