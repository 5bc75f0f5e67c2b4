"""Files found by their tags: title and artist, and the length where several or other versions have these names."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import mutagen
import polars as pl
import pytest
from audio_files import job_of, write_tracks

from larp_core.audio.acquire import tagged
from larp_core.audio.acquire.ledger import read_entries
from larp_core.audio.acquire.sources import Outcome, Track
from larp_core.audio.acquire.tagged import TaggedFiles

TAGS = pl.DataFrame(
    {
        "path": ["b.mp3", "a live.mp3", "d.mp3"],
        "title": ["Song 1", "Song 2", "Song 3"],
        "artist": ["Somebody"] * 3,
        "duration_ms": [None, 12_000, None],
    }
)
"""What `load_tags` gives for files whose headers may not tell their length."""


@pytest.fixture
def music(tmp_path: Path, mp3_of: Callable[[float], Path]) -> Path:
    music = tmp_path / "music"
    music.mkdir()
    for name, seconds, artist, title in [
        ("a live", 12.0, "Björk", "Jóga"),
        ("b", 3.0, "Björk", "Jóga"),
        ("c", 3.0, "AC/DC", "Back In Black!"),
        ("d", 3.0, "लता", "की"),
        ("e", 3.0, "Sault", "???"),
        ("f", 3.0, "Nobody", ""),
    ]:
        file = music / f"{name}.mp3"
        shutil.copy(mp3_of(seconds), file)
        tags = mutagen.File(file, easy=True)
        tags.update({"artist": artist, "title": title})
        tags.save()
    (music / "broken.mp3").write_bytes(b"no audio")
    return music


def look_up(music: Path, artist: str, title: str, duration_ms: int | None = None) -> Outcome:
    tagged = TaggedFiles(music, sorted(music.glob("*.mp3")), music.parent / "tags.parquet", tolerance_seconds=5.0)
    return tagged(Track(1, "x", title, artist, duration_ms))


@pytest.mark.parametrize(
    ("artist", "title", "duration_ms", "found"),
    [
        ("Björk", "Jóga", 3_000, "b"),
        ("bjo\u0308rk", "JÓGA", 12_500, "a live"),
        ("Björk", "Jóga", None, "a live"),
        ("acdc", "back in black", 3_000, "c"),
        ("लता", "की", 3_000, "d"),
        ("Sault", "???", 3_000, "e"),
    ],
)
def test_names_match_whatever_their_spelling(
    music: Path, artist: str, title: str, duration_ms: int | None, found: str
) -> None:
    assert look_up(music, artist, title, duration_ms).path == music / f"{found}.mp3"


@pytest.mark.parametrize(
    ("artist", "title"), [("Björk", "Hunter"), ("लता", "का"), ("Sault", "!!!"), ("Nobody", ""), ("", ""), ("", "Jóga")]
)
def test_other_names_do_not(music: Path, artist: str, title: str) -> None:
    outcome = look_up(music, artist, title)
    assert (outcome.status, outcome.path) == ("not_found", None)
    assert "LARP_AUDIO_DIR" in outcome.detail


def test_another_version_is_not_taken_for_the_song(music: Path) -> None:
    outcome = look_up(music, "Björk", "Jóga", 200_000)
    assert (outcome.status, outcome.path) == ("duration_mismatch", None)
    assert outcome.detail == "files with its tags last 12 s, 3 s; wanted 200 s"


def test_tags_find_what_the_id_does_not(music: Path, tmp_path: Path) -> None:
    shutil.copy(music / "c.mp3", music / "lfm:1.mp3")
    for file in music.glob("[bcd].mp3"):
        tags = mutagen.File(file, easy=True)
        tags.update({"artist": "Somebody", "title": {"b": "Song 1", "c": "Song 0", "d": "Song 2"}[file.stem]})
        tags.save()
    job = job_of("mp3", tmp_path / "data", mpd_dir=tmp_path, audio_dir=music)
    write_tracks(job, ["lfm:0", "lfm:1", "lfm:2", "lfm:3"])
    job.work()
    paths = [entry.path and Path(entry.path).name for entry in read_entries(job.paths.ledger).values()]
    assert paths == ["c.mp3", "lfm:1.mp3", "d.mp3", None]  # a name that is the id wins over tags
    before = job.paths.ledger.read_bytes()
    job.work()
    assert job.paths.ledger.read_bytes() == before


def test_a_length_that_became_known_is_held_against_tags_and_not_against_ids(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A header without a length, as raw streams have, doesn't tell: what decoding measured does."""
    monkeypatch.setattr(tagged, "load_tags", lambda *_: TAGS)
    shutil.copy(music / "c.mp3", music / "lfm:0.mp3")
    job = job_of("mp3", tmp_path / "data", mpd_dir=tmp_path, audio_dir=music)
    write_tracks(job, [f"lfm:{number}" for number in range(4)])
    job.work()
    entries = list(read_entries(job.paths.ledger).values())
    assert [(entry.status, entry.tolerance_seconds) for entry in entries] == [("ok", None)] + [("ok", 5.0)] * 3
    tracks = pl.read_parquet(job.paths.metadata)
    tracks.with_columns(duration_ms=pl.Series([60_000, 60_000, 60_000, 4_000], dtype=pl.Int32)).write_parquet(
        job.paths.metadata
    )
    job.work()
    entries = list(read_entries(job.paths.ledger).values())
    assert [entry.status for entry in entries] == ["ok", "duration_mismatch", "duration_mismatch", "ok"]
    assert [entry.detail for entry in entries][1:3] == [
        "it lasts 3 s; wanted 60 s",
        "files with its tags last 12 s; wanted 60 s",
    ]
    assert (music / "b.mp3").exists()
