"""Tags of real files in every format, and of files that are none."""

from __future__ import annotations

import logging
import os

import mutagen
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from own_files import CODECS, write_song

from larp_core.data.readers import tags as tags_module
from larp_core.data.readers.tags import SCHEMA, clean, load_tags, read_tags

NAMED = (".mp3", ".flac", ".m4a", ".ogg", ".opus")


@pytest.mark.parametrize("suffix", NAMED)
def test_names_and_length_in_every_format(tmp_path, suffix):
    song = write_song(tmp_path / f"x{suffix}", title="Für  Elise\n", artist="L. v. B.", album="Best\tof")
    found = read_tags(song)
    length = found.pop("duration_ms")
    assert found == {"title": "Für Elise", "artist": "L. v. B.", "album": "Best of"}
    assert length == pytest.approx(500, abs=100)


@pytest.mark.parametrize("suffix", CODECS)
def test_a_file_without_tags_has_its_length(tmp_path, suffix):
    found = read_tags(write_song(tmp_path / f"x{suffix}"))
    assert found.pop("duration_ms") == pytest.approx(500, abs=100)
    assert set(found.values()) == {None}


def test_id3_within_wav(tmp_path):
    song = write_song(tmp_path / "x.wav")
    audio = mutagen.File(song)
    audio.add_tags()
    audio.tags.add(mutagen.id3.TIT2(encoding=3, text=["A title"]))
    audio.tags.add(mutagen.id3.TPE2(encoding=3, text=["The band"]))
    audio.save()
    assert (read_tags(song)["title"], read_tags(song)["artist"]) == ("A title", "The band")


def test_the_albums_artist_stands_in_and_several_artists_stand_side_by_side(tmp_path):
    assert read_tags(write_song(tmp_path / "a.flac", albumartist="Various"))["artist"] == "Various"
    both = write_song(tmp_path / "b.flac", artist=["Ella", "Louis", "Ella"], albumartist="Various")
    assert read_tags(both)["artist"] == "Ella, Louis"
    assert read_tags(write_song(tmp_path / "c.mp3", artist=" ", albumartist="Various"))["artist"] == "Various"


def test_only_new_and_changed_files_are_read(tmp_path, monkeypatch):
    files = {name: write_song(tmp_path / name, title=name) for name in ("a.mp3", "b.mp3", "c.mp3")}
    read = []
    monkeypatch.setattr(
        tags_module, "_read", lambda file, _read=tags_module._read: read.append(file.name) or _read(file)
    )
    table = tmp_path / "cache" / "tags.parquet"
    first = load_tags({"a.mp3": files["a.mp3"], "b.mp3": files["b.mp3"]}, table)
    assert read == ["a.mp3", "b.mp3"] and dict(first.schema) == SCHEMA
    assert first["title"].to_list() == ["a.mp3", "b.mp3"]
    write_song(files["b.mp3"], title="another title")
    read.clear()
    second = load_tags(dict(reversed(files.items())), table)
    assert read == ["c.mp3", "b.mp3"]
    assert second["title"].to_list() == ["c.mp3", "another title", "a.mp3"]
    os.utime(files["a.mp3"], ns=(1, 1))
    read.clear()
    load_tags(files, table)
    assert read == ["a.mp3"]


def test_a_table_of_another_version_is_not_believed(tmp_path, monkeypatch):
    files = {"a.mp3": write_song(tmp_path / "a.mp3", title="old")}
    load_tags(files, tmp_path / "tags.parquet")
    monkeypatch.setattr(tags_module, "TAGS_VERSION", "next")
    monkeypatch.setattr(tags_module, "_read", lambda file: ("new", None, None, None, None))
    assert load_tags(files, tmp_path / "tags.parquet")["title"].to_list() == ["new"]


def test_what_has_been_read_outlives_a_killed_run(tmp_path, monkeypatch):
    files = {f"{n}.mp3": write_song(tmp_path / f"{n}.mp3", title=f"{n}") for n in range(5)}
    monkeypatch.setattr(tags_module, "SAVE_EVERY_FILES", 2)
    real = tags_module._read
    monkeypatch.setattr(tags_module, "_read", lambda file: real(file) if file.name != "4.mp3" else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        load_tags(files, tmp_path / "tags.parquet")
    assert pl.read_parquet(tmp_path / "tags.parquet")["title"].to_list() == ["0", "1", "2", "3"]


def test_what_has_no_tags_says_why_and_is_logged(tmp_path, caplog):
    (tmp_path / "empty.mp3").write_bytes(b"")
    (tmp_path / "text.flac").write_text("not a FLAC")
    files = {path.name: path for path in (tmp_path / "empty.mp3", tmp_path / "text.flac", tmp_path / "gone.ogg")}
    with caplog.at_level(logging.INFO, "larp_core"):
        table = load_tags(files, tmp_path / "tags.parquet")
    assert table["title"].null_count() == 3 and table["problem"].null_count() == 0
    assert "3 unreadable" in caplog.text and "text.flac" in caplog.text


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(suffix=st.sampled_from(NAMED), data=st.data())
def test_mangled_files_never_end_in_a_traceback(tmp_path, suffix, data):
    song = write_song(tmp_path / f"x{suffix}", title="Title", artist="Artist", album="Album")
    content = bytearray(song.read_bytes()[:4_000])
    for _ in range(data.draw(st.integers(1, 8))):
        start = data.draw(st.integers(0, len(content)))
        content[start : start + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=12))
    song.write_bytes(content)
    row = load_tags({"x": song}, tmp_path / "tags.parquet").row(0, named=True)
    assert row["problem"] or row["duration_ms"] is None or row["duration_ms"] > 0


@given(st.text(st.characters()))
def test_cleaned_text_can_be_stored_and_is_one_line(text):
    cleaned = clean(text)
    assert pl.Series([cleaned]).item() == cleaned and clean(cleaned) == cleaned
    assert cleaned.splitlines() in ([], [cleaned]) or any(sign in cleaned for sign in "\x85\u2028\u2029")
