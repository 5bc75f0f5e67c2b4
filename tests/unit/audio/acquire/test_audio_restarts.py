"""Runs that were stopped: what they had is not asked for again, and what they end with is what others end with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from audio_files import job_of, write_tracks
from places import python_path

from larp_core.audio.acquire import attempt
from larp_core.audio.acquire.ledger import Entry, Ledger, now, read_entries
from larp_core.runtime.files import hash_file


@pytest.mark.parametrize(("source", "stats_a_track"), [("urls", 0), ("folder", 1)])
def test_finished_tracks_cost_no_request_and_no_look_but_one_at_a_file_of_the_users(
    tmp_path: Path, source: str, stats_a_track: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's file may have been changed since; what lies in the store is ours."""
    uris = [f"{i:022d}" for i in range(400)]
    urls, music = tmp_path / "urls.csv", tmp_path / "music"
    urls.write_text("\n".join(["track_uri,url", *(f"{uri},http://127.0.0.1:9/{uri}.mp3" for uri in uris)]) + "\n")
    folders = {"audio_urls": urls} if source == "urls" else {"audio_dir": music}
    job = job_of("mp3", tmp_path / "data", mpd_dir=tmp_path, **folders)
    write_tracks(job, uris)
    ledger = Ledger(job.paths.ledger)
    for number, uri in enumerate(uris):
        file = (music if source == "folder" else job.settings.shared.audio / uri[:2]) / f"{uri}.mp3"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
        path = attempt.ledger_path(file, job.settings.data_dir)
        later = now() + timedelta(seconds=10)
        ledger.record(Entry(number, uri, "ok", source, path, "ab", 3.0, "soundfile", 1, later))
    ledger.save()
    looks: list[object] = []
    stat, lstat = os.stat, os.lstat
    monkeypatch.setattr(os, "stat", lambda *args, **kwargs: looks.append(args) or stat(*args, **kwargs))
    monkeypatch.setattr(os, "lstat", lambda *args, **kwargs: looks.append(args) or lstat(*args, **kwargs))
    assert job.work().facts["looked_up_now"] == 0
    assert len(looks) <= stats_a_track * len(uris) + 100


KILLER = """
import os, random, sys, threading
from pathlib import Path
from audio_files import job_of
import yt_dlp
import larp_core.audio.acquire.acquisition
import larp_core.audio.acquire.guarded
from larp_core.audio.acquire.ledger import Ledger

def die_after(records, seconds):
    # By what has been got, not by the clock alone: a busy machine kills at the same places.
    timer = threading.Timer(seconds, os.kill, (os.getpid(), 9))
    record, left = Ledger.record, [records]
    def counted(ledger, entry):
        record(ledger, entry)
        left[0] -= 1
        if left[0] == 0:
            timer.start()
    Ledger.record = counted
    if not records:
        timer.start()

# Forked here, before anything has started a thread: each child is a run, and starts at once.
moments = random.Random(7)
for number in range(11):
    records, seconds = moments.randint(0, 4), moments.uniform(0.0, 0.1)
    child = os.fork()
    if child == 0:
        if number < 10:
            die_after(records, seconds)
        job_of("mp3", Path(sys.argv[1])).work()
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def test_a_run_killed_at_ten_moments_ends_equal_to_an_undisturbed_one(
    tmp_path: Path, mp3_of: Callable[[float], Path]
) -> None:
    uris = [f"{i:022d}" for i in range(90)]
    jobs = [job_of("mp3", tmp_path / name) for name in ("killed", "undisturbed")]
    for job in jobs:
        web = job.settings.shared.demo_world / "audio"
        web.mkdir(parents=True)
        for number, uri in enumerate(uris[:80]):
            shutil.copy(mp3_of(3.0 + number % 3), web / f"{uri}.mp3")
        write_tracks(job, uris)
    environment = os.environ | {"PYTHONPATH": python_path("audio")}
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(tmp_path / "killed")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    ends = done.stdout.split()
    assert done.returncode == 0 and len(ends) == 11 and ends[-1] == "0", done.stderr[-2000:]
    assert ends.count("9") == 10, "some runs were over before they were killed"
    jobs[1].work()
    compared = ["track_id", "track_uri", "status", "path", "sha256", "duration_seconds", "decoder"]
    killed, undisturbed = (pl.read_parquet(job.paths.ledger) for job in jobs)
    assert killed.select(compared).equals(undisturbed.select(compared))
    assert killed["attempts"].max() == 1  # what was written down once is not asked for again
    for job in jobs:
        files = [path for path in job.settings.shared.audio.rglob("*") if path.is_file()]
        entries = [entry for entry in read_entries(job.paths.ledger).values() if entry.path]
        assert {job.settings.data_dir / entry.path for entry in entries} == set(files)
        assert all(hash_file(job.settings.data_dir / entry.path) == entry.sha256 for entry in entries)
        assert list(job.paths.root.glob("ledger.journal*")) == []
