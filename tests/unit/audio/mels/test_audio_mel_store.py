"""The array of mels: no row is computed twice, and it is the same array after any number of killed runs."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from audio_files import chirp, job_of, write_tracks
from places import python_path

from larp_core.audio.acquire.ledger import OK, Entry, Ledger
from larp_core.audio.clips.factory import build_clips
from larp_core.audio.mels import store
from larp_core.audio.mels.array import load_mels
from larp_core.audio.mels.store import MelStore
from larp_core.config.paths import DatasetPaths
from larp_core.graph.job import Job
from larp_core.runtime.errors import UserError

SHAPE = (3, 2)


def digests(*numbers: int) -> list[str]:
    return [f"clip {number}" for number in numbers]


def mel_of(digest: str) -> np.ndarray:
    return np.full(SHAPE, float(digest.split()[1]), np.float16)


def fill(paths: DatasetPaths, names: list[str], stop_after: int | None = None, at_once: int = 3) -> int:
    """Fills a store from the last row to the first, a few at a time; how many rows it lacked."""
    store = MelStore(paths, names, SHAPE)
    todo = np.flatnonzero(~store.done)[::-1]
    for first in range(0, len(todo), at_once):
        if stop_after is not None and first >= stop_after:
            return len(todo)
        rows = todo[first : first + at_once]
        store.write(rows, np.stack([mel_of(names[row]) for row in rows]))
    store.finish()
    return len(todo)


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetPaths:
    monkeypatch.setattr(store, "SAVE_EVERY_ROWS", 4)
    paths = DatasetPaths(tmp_path, "mpd")
    paths.root.mkdir()
    return paths


def assert_whole(paths: DatasetPaths, names: list[str]) -> None:
    np.testing.assert_array_equal(np.load(paths.mels), np.stack([mel_of(name) for name in names]))
    assert not paths.mels_in_work.exists()


def test_rows_of_known_clips_are_copied(paths: DatasetPaths) -> None:
    assert fill(paths, digests(*range(10))) == 10
    grown = digests(50, *range(3, 10), 51, 0, 0)
    assert fill(paths, grown) == 2
    assert_whole(paths, grown)
    assert fill(paths, grown) == 0
    assert_whole(paths, grown)


def test_a_list_of_another_array_is_not_believed(paths: DatasetPaths) -> None:
    fill(paths, digests(*range(10)))
    np.save(paths.mels, np.zeros((10, *SHAPE), np.float16))
    assert fill(paths, digests(*range(10))) == 10
    assert_whole(paths, digests(*range(10)))


@pytest.mark.parametrize("half_a_line", [False, True])
def test_a_stopped_run_is_gone_on_from(paths: DatasetPaths, half_a_line: bool) -> None:
    fill(paths, digests(0, 1, 2))
    before = paths.mels.read_bytes()
    names = digests(*range(20))
    assert fill(paths, names, stop_after=12) == 17
    assert paths.mels.read_bytes() == before
    if half_a_line:
        (journal,) = paths.mels_in_work.glob("*.rows")
        journal.write_text(journal.read_text() + "0 1")
    # Three rows were copied, twelve computed, of which the last three had not been saved yet. Stopped again:
    assert fill(paths, names, stop_after=6) == 20 - 3 - 9
    assert fill(paths, names) == 20 - 3 - 9 - 6
    assert_whole(paths, names)


def test_work_on_other_clips_is_thrown_away(paths: DatasetPaths) -> None:
    fill(paths, digests(*range(20)), stop_after=9)
    assert fill(paths, digests(*range(19))) == 19
    assert_whole(paths, digests(*range(19)))


def test_a_full_disk_is_said_before_the_work(paths: DatasetPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match="the disk has no room"):
        fill(paths, digests(1, 2))
    assert not list(paths.mels_in_work.iterdir())


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Thirty clips to be turned into mels."""
    job = job_of("mels", tmp_path / "data", mpd_dir=tmp_path)
    uris = [f"t{index}" for index in range(30)]
    write_tracks(job, uris)
    ledger = Ledger(job.paths.ledger)
    for index, uri in enumerate(uris):
        path = tmp_path / f"{uri}.flac"
        soundfile.write(path, chirp(10.0, 8_000, 1, level=0.9 / (index + 1)).T, 8_000)
        ledger.record(Entry(index, uri, OK, "local", str(path), uri, 10.0, "libsndfile"))
    ledger.save()
    build_clips(job.paths, job.recipe.clip)
    return job


KILLED_RUN = """
import os, signal, sys
from pathlib import Path
from audio_files import job_of
from larp_core.audio.mels import store

store.SAVE_EVERY_ROWS = 8
written = 0
write = store.MelStore.write

def write_and_die(store, rows, values):
    global written
    write(store, rows, values)
    written += len(rows)
    if written >= int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

store.MelStore.write = write_and_die
job_of("mels", Path(sys.argv[1]) / "data", mpd_dir=Path(sys.argv[1])).work()
"""


def test_killed_runs_end_as_an_undisturbed_one(job: Job, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": python_path("audio")}
    for _ in range(2):
        command = [sys.executable, "-c", KILLED_RUN, str(tmp_path), "8"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert not job.paths.mels.exists()
    report = job.work()
    assert report.facts["num_computed_now"] == 30 - 16
    resumed, rows = job.paths.mels.read_bytes(), job.paths.mel_rows.read_bytes()
    for path in (job.paths.mels, job.paths.mel_sources, job.paths.mel_rows):
        path.unlink()
    assert job.work().facts["num_computed_now"] == 30
    assert (job.paths.mels.read_bytes(), job.paths.mel_rows.read_bytes()) == (resumed, rows)


def test_a_new_clip_costs_one_row(job: Job) -> None:
    clips = pl.read_parquet(job.paths.clips)
    clips.filter(pl.col("track_id") != 11).write_parquet(job.paths.clips)
    job.work()
    clips.write_parquet(job.paths.clips)
    assert job.work().facts["num_computed_now"] == 1
    assert isinstance(load_mels(job.paths), np.memmap)
    grown = job.paths.mels.read_bytes()
    job.paths.mel_sources.unlink()
    assert job.work().facts["num_computed_now"] == 30
    assert job.paths.mels.read_bytes() == grown
