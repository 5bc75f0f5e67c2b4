"""Audio guessed from names, and the length that tells whether it was right, however late that is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from audio_files import write_tracks
from hostile_server import HostileServer
from listed_sources import entries_of, fast_job, use, with_lengths

from larp_core.graph.job import Job

URIS = [f"{i:022d}" for i in range(4)]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return fast_job(tmp_path, URIS)


def test_a_length_that_became_known_is_held_against_what_was_guessed_from_names(
    job: Job, server: HostileServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Those got by a URL or by id are the user's word; the file of another length is gone for every dataset."""
    music = tmp_path / "music"
    music.mkdir()
    (music / f"{URIS[0]}.mp3").write_bytes(server.body)
    job = replace(job, settings=replace(job.settings, audio_dir=music))
    use(monkeypatch, job, server, {URIS[1]: "/ok/1.mp3"}, search=True)
    server.results = [{"url": f"{server.url}/ok/found.mp3", "duration": 3.0}]
    job.work()
    assert [(entry.status, entry.source, entry.tolerance_seconds) for entry in entries_of(job)] == [
        ("ok", "folder", None),
        ("ok", "urls", None),
        ("ok", "youtube", 5.0),
        ("ok", "youtube", 5.0),
    ]
    files = [job.settings.data_dir / str(entry.path) for entry in entries_of(job)]
    with_lengths(job, 60_000, 60_000, 60_000, 4_000)
    num_queries = len(server.queries)
    job.work()
    assert [entry.status for entry in entries_of(job)] == ["ok", "ok", "duration_mismatch", "ok"]
    assert [file.exists() for file in files] == [True, True, False, True]
    assert "store: duration_mismatch, it lasts 3 s; wanted 60 s" in entries_of(job)[2].detail
    assert len(server.queries) == num_queries + 1  # with the length another result may be the right one
    before = job.paths.ledger.read_bytes()
    job.work()
    assert (job.paths.ledger.read_bytes(), len(server.queries)) == (before, num_queries + 1)


def test_a_dataset_that_knows_the_length_judges_what_one_without_has_guessed(
    job: Job, server: HostileServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As MPD and LFM-2b are: both share the store."""
    use(monkeypatch, job, server, {URIS[0]: "/ok/0.mp3"}, search=True)
    server.results = [{"url": f"{server.url}/ok/found.mp3", "duration": 3.0}]
    job.work()
    store = job.settings.shared.audio
    assert sorted(file.name for file in store.rglob("*.mp3")) == [
        f"{URIS[0]}.mp3",
        *(f"{uri}.guess.mp3" for uri in URIS[1:]),
    ]
    num_queries = len(server.queries)
    other = replace(job, dataset="lfm", settings=replace(job.settings, datasets=("lfm",), lfm_dir=tmp_path))
    write_tracks(other, URIS)
    with_lengths(other, 60_000, 3_500, None, 60_000)
    other.work()
    assert [(entry.status, entry.source) for entry in entries_of(other)] == [
        ("ok", "store"),
        ("ok", "store"),
        ("ok", "store"),
        ("duration_mismatch", "store"),
    ]
    assert len(server.queries) == num_queries + 1
    assert len(list(store.rglob("*.mp3"))) == 3
    assert other.work().facts["looked_up_now"] == 0
    job.work()  # which can't know better
    assert [entry.status for entry in entries_of(job)] == ["ok"] * 4


def test_a_stored_file_that_was_damaged_since_is_got_anew(
    job: Job, server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, job, server, {uri: f"/ok/{uri}.mp3" for uri in URIS})
    job.work()
    [file] = job.settings.shared.audio.rglob(f"{URIS[1]}.mp3")
    file.write_bytes(b"damaged")
    job.paths.ledger.unlink()
    job.work()
    assert [(entry.status, entry.source) for entry in entries_of(job)] == [
        ("ok", "store"),
        ("ok", "urls"),
        ("ok", "store"),
        ("ok", "store"),
    ]
    assert file.read_bytes() == server.body
