"""Fields of captions that are heard in the clip: right on sounds made for them, computed once for each clip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from audio_files import job_of, write_tracks

from larp_core.captions import sound_fields
from larp_core.captions.sound_fields import build_sound_fields, describe
from larp_core.config import CaptionConfig
from larp_core.graph.job import Job
from larp_core.runtime.files import write_parquet

RATE_HZ = 48_000
TIME = np.arange(10 * RATE_HZ) / RATE_HZ


def chord(*semitones: int, beats_a_minute: float = 120.0) -> np.ndarray:
    """Plucked on every beat; semitones above middle C."""
    since_beat = TIME % (60 / beats_a_minute)
    tones = [np.sin(2 * np.pi * 261.626 * 2 ** (semitone / 12) * TIME) for semitone in semitones]
    return (0.2 * np.mean(tones, axis=0) * np.exp(-6 * since_beat)).astype(np.float32)


@pytest.mark.parametrize(
    ("semitones", "key", "mode"),
    [((0, 4, 7, 12), "C", "major"), ((9, 12, 16, 21), "A", "minor"), ((6, 10, 13, 18), "F sharp", "major")],
)
def test_key_and_mode_of_a_chord(semitones: tuple[int, ...], key: str, mode: str) -> None:
    fields = describe(chord(*semitones))
    assert (fields["key"], fields["mode"]) == (key, mode)


def test_tempo_loudness_and_brightness() -> None:
    slow, fast = describe(chord(0, 4, 7, beats_a_minute=90)), describe(chord(0, 4, 7, beats_a_minute=150))
    assert abs(int(slow["tempo"].removesuffix(" BPM")) - 90) <= 4
    assert abs(int(fast["tempo"].removesuffix(" BPM")) - 150) <= 6
    tone = (0.5 * np.sin(2 * np.pi * 1_000 * TIME)).astype(np.float32)
    assert describe(tone)["loudness"] == "-9 dB"  # a sine of amplitude 0.5: 20 log10(0.5 / sqrt(2)) = -9.03
    assert describe(tone / 10)["loudness"] == "-29 dB"
    assert abs(int(describe(tone)["brightness"].removesuffix(" Hz")) - 1_000) < 100
    assert describe(np.zeros(480_000, np.float32)) == {}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Four tracks; the second is silent, the third has no clip, the fourth sounds as the first."""
    job = job_of("captions", tmp_path, mpd_dir=tmp_path)
    template = CaptionConfig("{track} in {key} {mode}, {tempo}, {loudness}, {brightness}")
    job = replace(job, settings=replace(job.settings, recipe=replace(job.recipe, caption=template)))
    write_tracks(job, ["a", "b", "c", "d"])
    tracks = pl.read_parquet(job.paths.tracks)
    write_parquet(tracks.with_columns(album_name=pl.lit(None, pl.String)), job.paths.metadata)
    for name, samples in (("a", chord(0, 4, 7, 12)), ("b", np.zeros(480_000, np.float32))):
        soundfile.write(job.paths.root / f"{name}.flac", samples, RATE_HZ)
    clips = pl.DataFrame(
        {
            "track_id": pl.Series([0, 1, 2, 3], dtype=pl.Int32),
            "path": ["a.flac", "b.flac", None, "a.flac"],
            "sha256": ["aa", "bb", None, "aa"],
            "status": ["ok", "ok", "too_short", "ok"],
        }
    )
    write_parquet(clips, job.paths.clips)
    return job


def test_captions_tell_what_is_heard(job: Job) -> None:
    job.work()
    captions = dict(pl.read_parquet(job.paths.captions).iter_rows())
    assert captions[0].startswith("Song 0 in C major, 1")
    assert captions[3] == captions[0].replace("Song 0", "Song 3")
    assert captions[1] == "Song 1"
    assert captions[2] == "Song 2"


def test_each_clip_is_listened_to_once(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build_sound_fields(job.paths)
    assert first["track_id"].to_list() == [0, 1, 3]
    listened = []
    monkeypatch.setattr(sound_fields, "describe", lambda samples: listened.append(len(samples)) or {})
    assert build_sound_fields(job.paths).equals(first)
    assert listened == []
    clips = pl.read_parquet(job.paths.clips)
    changed = pl.when(pl.col("track_id") == 0).then(pl.lit("new")).otherwise("sha256")
    write_parquet(clips.with_columns(sha256=changed), job.paths.clips)
    build_sound_fields(job.paths)
    assert listened == [480_000]
    monkeypatch.setattr(sound_fields, "VERSION", "next")
    build_sound_fields(job.paths)
    assert len(listened) == 1 + 3
