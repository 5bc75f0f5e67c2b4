"""Shards of clips: each can be cut and tried again alone, and what a killed run has cut stays cut."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import soundfile
from audio_files import chirp, clip_rows, job_of, write_tracks
from places import python_path

from larp_core.audio.acquire.acquisition import acquire_audio
from larp_core.audio.clips import factory as clips_module
from larp_core.audio.clips.shards import Shard, shards_of
from larp_core.cli.run import run_step
from larp_core.graph.job import Job
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import write_json

NUM_TRACKS, LOST = 24, "t5"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Tracks of 11 s that have been acquired, one of whose files is gone again, and no clip yet."""
    music = tmp_path / "music"
    music.mkdir()
    for index in range(NUM_TRACKS):
        soundfile.write(music / f"t{index}.flac", chirp(11.0, 8_000, 1, level=0.9 / (index + 1)).T, 8_000)
    job = job_of("clips", tmp_path / "data", mpd_dir=tmp_path, audio_dir=music)
    write_tracks(job, [f"t{index}" for index in range(NUM_TRACKS)])
    acquire_audio(job.settings, job.dataset)
    (music / f"{LOST}.flac").rename(music / "lost")
    return job


def put_back(job: Job) -> None:
    assert job.settings.audio_dir
    (job.settings.audio_dir / "lost").rename(job.settings.audio_dir / f"{LOST}.flac")


def bytes_of_a_run_from_nothing(job: Job) -> bytes:
    for path in (job.paths.clips, *job.paths.clips_dir.rglob("*.flac")):
        path.unlink()
    assert job.work().facts["num_cut_now"] == NUM_TRACKS
    return job.paths.clips.read_bytes()


def test_every_track_is_in_one_shard_wherever_it_is_asked_from() -> None:
    uris = [f"track {index}" for index in range(1_000)]
    shards = shards_of(uris, 16)
    assert {shard.number for shard in shards} == set(range(1, 17))
    assert shards[::-1] == shards_of(uris[::-1], 16)
    assert max(shards_of(uris), key=lambda shard: shard.number) == Shard(4, 4)  # of at most 256 or so each
    with pytest.raises(UserError, match="--shard 17/16: there are shards 1 to 16"):
        Shard(17, 16)


def test_shards_cut_alone_are_merged_by_the_step(job: Job) -> None:
    numbers = [job.work_on_shard(number, 4).facts["num_cut_now"] for number in (3, 1, 4, 2)]
    assert sum(numbers) == NUM_TRACKS and min(numbers) > 0
    assert not job.paths.clips.exists()
    assert sorted(path.name for path in job.paths.clips_in_work.iterdir()) == [
        f"{n}-of-4.parquet" for n in (1, 2, 3, 4)
    ]
    report = job.work()
    assert (report.num_rows, report.facts["num_cut_now"], report.facts["num_error"]) == (NUM_TRACKS - 1, 1, 1)
    assert not job.paths.clips_in_work.exists()
    merged = job.paths.clips.read_bytes()
    assert bytes_of_a_run_from_nothing(job) == merged


def test_a_shard_is_tried_again_alone(job: Job) -> None:
    number = next(shard.number for shard in shards_of([LOST], 4))
    first = job.work_on_shard(number, 4)
    assert first.facts["num_error"] == 1
    put_back(job)
    again = job.work_on_shard(number, 4)
    assert (again.facts["num_cut_now"], again.num_rows) == (1, first.num_rows + 1)
    assert job.work().facts == {
        "num_cut_now": NUM_TRACKS - again.num_rows,
        "num_flagged": 0,
        "num_ok": NUM_TRACKS,
    }


def test_what_a_shard_could_not_cut_is_not_tried_twice_in_one_run(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a file that hangs its decoder would hold up the merging run too."""
    put_back(job)
    (job.settings.audio_dir / f"{LOST}.flac").write_text("damaged since it was measured")  # type: ignore[operator]
    number = next(shard.number for shard in shards_of([LOST], 2))
    assert job.work_on_shard(number, 2).facts["num_corrupt"] == 1
    job.work_on_shard(3 - number, 2)
    assert job.work().facts["num_cut_now"] == 0
    assert clip_rows(job)[LOST]["status"] == "corrupt"
    assert job.work().facts["num_cut_now"] == 1


def test_outcomes_for_other_settings_are_not_taken_up(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    job.work_on_shard(1, 1)
    monkeypatch.setattr(clips_module, "CUTTER_VERSION", "another")
    assert job.work().facts["num_cut_now"] == NUM_TRACKS


KILLED_RUN = """
import os, signal, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from audio_files import job_of
from larp_core.audio.clips import shards
from larp_core.audio.clips import factory
from larp_core.runtime import workers

shards.TRACKS_PER_SHARD = 4
workers.ISOLATES = False
workers.ITEMS_PER_PROCESS = 1_000
work, left, writers = factory.make_cutter, [int(sys.argv[2])], []

class Writer(ThreadPoolExecutor):
    def __init__(self, num_threads):
        super().__init__(num_threads)
        writers.append(self)

def make_cutter(config):
    def cut(item):
        if not left[0]:
            writers[0].submit(int).result()  # its one thread has written the shards that are whole
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return work(config)(item)
    return cut

factory.make_cutter, factory.ThreadPoolExecutor = make_cutter, Writer
folder = Path(sys.argv[1])
job_of("clips", folder / "data", mpd_dir=folder, audio_dir=folder / "music").work()
"""


def test_killed_runs_go_on_and_end_as_an_undisturbed_one(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {**os.environ, "PYTHONPATH": python_path("audio")}
    num_saved = [0]
    for num_cut in (9, 9):
        command = [sys.executable, "-c", KILLED_RUN, str(tmp_path), str(num_cut)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert not job.paths.clips.exists()
        saved = pl.concat([pl.read_parquet(path) for path in job.paths.clips_in_work.glob("*.parquet")])
        assert saved["path"].drop_nulls().is_unique().all()
        num_saved.append((saved["status"] == "ok").sum())
    assert num_saved[0] < num_saved[1] < num_saved[2]
    report = job.work()
    assert report.facts["num_cut_now"] == NUM_TRACKS - num_saved[-1]
    resumed = job.paths.clips.read_bytes()
    assert bytes_of_a_run_from_nothing(job) == resumed


def test_shards_by_hand(job: Job) -> None:
    for parent in job.upstream():
        write_json({"digest": "made before"}, parent.stamp)
    assert (run_step("clips", job.settings, "mpd", "2/3") or "").startswith("mpd/clips: ")
    assert job.paths.clips_in_work.joinpath("2-of-3.parquet").exists()
    for words in ("2", "a/b", "-1/3"):
        with pytest.raises(UserError, match="write 3/16 for the third of sixteen shards"):
            run_step("clips", job.settings, "mpd", words)
    with pytest.raises(UserError, match="there are shards 1 to 3"):
        run_step("clips", job.settings, "mpd", "4/3")
    with pytest.raises(UserError, match="source can't be run in shards; leave --shard out"):
        run_step("source", job.settings, "mpd", "1/2")
