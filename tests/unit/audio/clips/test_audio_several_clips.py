"""Several clips a track: where they begin, and that rows, files, mels and counts follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from audio_files import job_of, write_tracks
from hypothesis import given
from hypothesis import strategies as st

from larp_core.audio.acquire.acquisition import acquire_audio
from larp_core.audio.clips.offsets import NoClip, start_of_clip, starts_of_clips
from larp_core.audio.mels.array import load_mels
from larp_core.audio.mels.log_mel import log_mel
from larp_core.config import ClipConfig
from larp_core.graph.job import Job
from larp_core.graph.registry import job_named
from larp_core.runtime.errors import UserError
from larp_core.runtime.report import Report

THREE = ClipConfig(clips_per_track=3)


@given(
    st.text(min_size=1, max_size=30),
    st.floats(10, 600),
    st.integers(1, 8),
    st.sampled_from(["uniform", "released_code"]),
)
def test_starts_are_different_within_the_margins_and_more_of_them_move_none(
    uri: str, duration: float, count: int, offsets: str
) -> None:
    config = ClipConfig(offsets=offsets, clips_per_track=count)
    starts = starts_of_clips(uri, duration, config)
    if isinstance(starts, NoClip):
        assert start_of_clip(uri, duration, config) == starts
        return
    margin = min(20.0, (duration - 10) / 2) if offsets == "uniform" else 0.0
    assert all(margin - 0.001 <= start <= duration - 10 - margin + 1e-9 for start in starts)
    assert len(set(starts)) == len(starts) <= count
    assert starts[0] == start_of_clip(uri, duration, config)
    more = starts_of_clips(uri, duration, replace(config, clips_per_track=count + 1))
    assert not isinstance(more, NoClip) and more[: len(starts)] == starts


def test_clips_of_a_song_do_not_overlap_and_each_is_uniform() -> None:
    starts = np.array([starts_of_clips(f"track {i}", 240.0, THREE) for i in range(2_000)])
    assert min(second - first for row in np.sort(starts) for first, second in pairwise(row)) > 10
    for column in starts.T:
        share, _ = np.histogram(column, bins=10, range=(20, 210))
        assert 140 < share.min() <= share.max() < 260


def test_the_released_code_cuts_as_many_as_it_does() -> None:
    """`floor((length - 11) % 10)` different whole seconds below `length - 11`."""
    nine = ClipConfig(offsets="released_code", margin_seconds=0.0, clips_per_track=9)
    for duration, count in ((10.0, 1), (15.0, 4), (15.5, 4), (40.9, 9), (42.0, 1), (229.99, 8)):
        starts = starts_of_clips("x", duration, nine)
        assert not isinstance(starts, NoClip) and len(starts) == count, duration
        assert all(start == int(start) and start < max(duration - 11, 1) for start in starts)
    drawn = {frozenset(starts_of_clips(f"track {i}", 15.0, replace(nine, clips_per_track=2))) for i in range(300)}  # type: ignore[arg-type]
    assert len(drawn) == 6  # every pair of 0, 1, 2, 3


def test_a_listed_start_is_the_only_one() -> None:
    assert starts_of_clips("x", 100.0, replace(THREE, offsets="paper_lists"), 3.5) == [3.5]


def with_clips(job: Job, count: int) -> Job:
    recipe = replace(job.recipe, clip=ClipConfig(margin_seconds=1.0, clips_per_track=count))
    return replace(job, settings=replace(job.settings, recipe=recipe))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, mp3_of: Callable[[float], Path]) -> tuple[Job, Report, Report]:
    """Three clips of a long track, one of a track of 10 s, none of a shorter one; first one a track, then three."""
    folder = tmp_path_factory.mktemp("several")
    music = folder / "music"
    music.mkdir()
    for uri, seconds in (("aa long", 52.0), ("exact", 10.2), ("short", 9.0)):
        (music / f"{uri}.mp3").write_bytes(mp3_of(seconds).read_bytes())
    samples = soundfile.read(music / "exact.mp3")[0]
    (music / "exact.mp3").unlink()
    soundfile.write(music / "exact.wav", samples[:220_500], 22_050)
    (music / "mapping.csv").write_text("track_uri,file\nlfm:1,aa long.mp3\nexact,exact.wav\nshort,short.mp3\n")
    job = job_of("clips", folder / "data", mpd_dir=folder, audio_dir=music)
    write_tracks(job, ["lfm:1", "exact", "short"])
    acquire_audio(job.settings, job.dataset)
    one = with_clips(job, 1).work()
    three = with_clips(job, 3).work()
    return with_clips(job, 3), one, three


def test_rows_and_files_of_several_clips(built: tuple[Job, Report, Report]) -> None:
    job, one, three = built
    rows = pl.read_parquet(job.paths.clips).rows(named=True)
    assert [(row["track_id"], row["clip_index"], row["status"]) for row in rows] == [
        (0, 0, "ok"),
        (0, 1, "ok"),
        (0, 2, "ok"),
        (1, 0, "ok"),
        (2, 0, "too_short"),
    ]
    stem = Path(rows[0]["path"]).stem
    assert [Path(row["path"]).name for row in rows[:3]] == [f"{stem}{end}.flac" for end in ("", ".clip1", ".clip2")]
    assert len({row["sha256"] for row in rows}) == 5
    assert all(soundfile.info(job.paths.root / row["path"]).frames == 480_000 for row in rows[:4])
    assert (one.num_rows, one.facts["num_cut_now"]) == (2, 2)
    assert (three.num_rows, three.facts["num_cut_now"]) == (4, 2)  # the first of each was there
    (coverage,) = three.tables["coverage"]
    assert (coverage["tracks"], coverage["with a clip"], coverage["too_short"]) == (3, 2, 1)


def test_each_clip_has_its_row_of_the_mels(built: tuple[Job, Report, Report]) -> None:
    job = job_named("mels", built[0].settings, "mpd")
    report = job.work()
    mels, rows = load_mels(job.paths), pl.read_parquet(job.paths.mel_rows)
    assert rows.rows() == [(0, 0, 0), (0, 1, 1), (0, 2, 2), (1, 0, 3)]
    assert report.num_rows == len(mels) == 4
    for path, mel in zip(pl.read_parquet(job.paths.clips)["path"], mels, strict=False):
        samples = soundfile.read(job.paths.root / path, dtype="float32")[0]
        np.testing.assert_allclose(mel, log_mel(samples[None])[0], atol=0.04)


def test_no_clip_at_all_is_refused(built: tuple[Job, Report, Report]) -> None:
    with pytest.raises(UserError, match=r"clip.clips_per_track is 0; it must be a whole number from 1"):
        with_clips(built[0], 0).work()
