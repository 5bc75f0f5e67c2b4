"""Several sources in order, refusals that are waited for, and a run that ends equal however often it is killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from audio_files import job_of, write_tracks
from hostile_server import HostileServer
from listed_sources import FAST, fast_job, refusals_of, use, with_lengths

from larp_core.audio.acquire import acquisition, attempt
from larp_core.audio.acquire.configured import configured_sources
from larp_core.audio.acquire.downloads import YtDlp
from larp_core.audio.acquire.ledger import Entry, Ledger, now, read_entries, refusal
from larp_core.audio.acquire.paced import Paced
from larp_core.audio.acquire.sources import Track
from larp_core.graph import memo
from larp_core.graph.job import Job
from larp_core.runtime.files import write_json

URIS = [f"{i:022d}" for i in range(4)]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return fast_job(tmp_path, URIS)


def test_what_one_source_lacks_the_next_is_asked_for(
    job: Job, server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = {URIS[0]: "/ok/0.mp3", URIS[1]: "/410/1.mp3", URIS[2]: "/page/2"}
    use(monkeypatch, job, server, urls, search=True)
    with_lengths(job, 3_000, 3_000, 60_000, None)
    server.results = [{"url": f"{server.url}/ok/found.mp3", "duration": 3.0}]
    job.work()
    entries = read_entries(job.paths.ledger)
    assert [(entry.status, entry.source) for entry in entries.values()] == [
        ("ok", "urls"),
        ("ok", "youtube"),
        ("duration_mismatch", "youtube"),
        ("ok", "youtube"),
    ]
    assert [refusals_of(entry) for entry in entries.values()] == [
        {},
        {"urls": "removed"},
        {"urls": "not_found", "youtube": "duration_mismatch"},
        {},  # nobody was asked for a URL that isn't in the list
    ]
    assert entries[URIS[2]].detail.startswith("urls: not_found, ")
    assert "youtube: duration_mismatch, 1 results of 3.0 s; wanted 60 s" in entries[URIS[2]].detail
    assert "no length to check" in entries[URIS[3]].detail
    requests, before = server.requested.total(), job.paths.ledger.read_bytes()
    assert job.work().facts["looked_up_now"] == 0
    assert server.requested.total() == requests
    assert job.paths.ledger.read_bytes() == before


def test_a_broken_file_of_the_users_makes_way_for_a_source_turned_on_later(
    job: Job, server: HostileServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    music = tmp_path / "music"
    music.mkdir()
    (music / f"{URIS[0]}.mp3").write_text("hello")
    monkeypatch.setattr(attempt, "CLOCK_SECONDS", 0.0)
    job = replace(job, settings=replace(job.settings, audio_dir=music))
    job.work()
    assert read_entries(job.paths.ledger)[URIS[0]].status == "corrupt"
    use(monkeypatch, job, server, {URIS[0]: "/ok/0.mp3"})
    job.work()
    entry = read_entries(job.paths.ledger)[URIS[0]]
    assert (entry.status, entry.source) == ("ok", "urls")


def test_a_found_file_of_another_length_than_promised_is_not_kept(
    job: Job, server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, job, server, {}, search=True)
    with_lengths(job, *[60_000] * 4)
    server.results = [{"url": f"{server.url}/ok/found.mp3", "duration": 60.0}]
    job.work()
    for entry in read_entries(job.paths.ledger).values():
        assert (entry.status, entry.path, entry.detail.split("; ")[-1]) == ("duration_mismatch", None, "wanted 60 s")
    assert not [path for path in job.settings.shared.audio.rglob("*") if path.is_file()]


def test_a_rate_limit_pauses_the_source_and_all_is_got_in_the_end(
    job: Job, server: HostileServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    use(monkeypatch, job, server, {uri: f"/429/{uri}.mp3" for uri in URIS})
    server.headers = {"Retry-After": "1"}
    server.refusals_left = {f"/429/{uri}.mp3": 1 for uri in URIS[:2]} | {f"/429/{uri}.mp3": 0 for uri in URIS[2:]}
    assert list(job.work().tables) == ["coverage"]
    entries = read_entries(job.paths.ledger)
    assert [entry.status for entry in entries.values()] == ["ok"] * 4
    assert [entry.attempts for entry in entries.values()] == [2, 2, 1, 1]
    assert "urls is paused until" in caplog.text and "429" in caplog.text
    assert (job.settings.shared.audio_sources / "urls.json").exists()


def test_a_pause_of_a_run_that_was_killed_is_told_by_the_next_and_kept(
    job: Job, server: HostileServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    use(monkeypatch, job, server, {uri: f"/429/{uri}.mp3" for uri in URIS})
    server.headers = {"Retry-After": "2"}
    server.refusals_left = {f"/429/{uri}.mp3": int(uri == URIS[0]) for uri in URIS}
    with acquisition.configured_sources(job.settings, job.dataset, []) as [source]:
        source.fetch(Track(0, URIS[0]), tmp_path)  # all that the first run has left is the file of its pause
    [refused_at] = server.refused_at
    job.work()
    assert "urls is paused until" in caplog.messages[0] and "429" in caplog.messages[0]
    assert min(at for at in server.asked_at if at > refused_at) >= refused_at + 1.9
    assert {entry.status for entry in read_entries(job.paths.ledger).values()} == {"ok"}


def test_a_pause_holds_in_every_process(job: Job, server: HostileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    uris = [f"{i:022d}" for i in range(60)]
    write_tracks(job, uris)
    use(monkeypatch, job, server, {uri: f"/{'429' if uri == uris[0] else 'ok'}/{uri}.mp3" for uri in uris})
    server.headers = {"Retry-After": "2"}
    server.refusals_left = {f"/429/{uris[0]}.mp3": 1}
    job.work()
    assert {entry.status for entry in read_entries(job.paths.ledger).values()} == {"ok"}
    [refused_at] = server.refused_at
    meanwhile = [at for at in server.asked_at if refused_at < at < refused_at + 2.0]
    # A track takes two requests, and others were under way in as many processes as there are cores.
    assert len(meanwhile) <= 2 * (os.cpu_count() or 1)
    assert len(server.asked_at) == 2 * len(uris) + 1


def test_errors_are_tried_again_and_given_up(job: Job, server: HostileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, job, server, {URIS[0]: "/500/0.mp3", URIS[1]: "/403/1.mp3", URIS[2]: "/404/2.mp3"})
    server.refusals_left = {"/403/1.mp3": 2}
    job.work()
    entries = read_entries(job.paths.ledger)
    assert [entry.status for entry in entries.values()] == ["error", "ok", "not_found", "not_found"]
    assert [entry.attempts for entry in entries.values()] == [5, 3, 1, 0]
    requests = server.requested.total()
    assert job.work().facts["looked_up_now"] == 0
    assert server.requested.total() == requests


def test_final_outcomes_are_asked_for_again_only_on_demand(
    job: Job, server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, job, server, {URIS[0]: "/410/0.mp3", URIS[1]: "/ok/1.mp3"})
    server.refusals_left = {"/410/0.mp3": 1}
    job.work()
    job.work()
    assert server.requested["/410/0.mp3"] == 1
    asked = replace(job, settings=replace(job.settings, audio_retry="final"))
    asked.work()
    assert [entry.status for entry in read_entries(job.paths.ledger).values()][:2] == ["ok", "ok"]
    assert server.requested["/ok/1.mp3"] == 2  # yt-dlp's look at the type, and the download, of the first run


def test_on_a_retry_only_those_are_asked_that_may_answer_otherwise(
    job: Job, server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, job, server, {URIS[0]: "/410/0.mp3"}, search=True)
    ledger = Ledger(job.paths.ledger)
    urls = "urls=" + refusal("removed", f"{server.url}/410/0.mp3")
    refusals = f"{urls} youtube={refusal('rate_limited', 'Somebody Song 0 None')}"
    ledger.record(Entry(0, URIS[0], "rate_limited", "youtube", attempts=2, last_attempt_at=now(), refusals=refusals))
    ledger.save()
    server.results = [{"url": f"{server.url}/ok/found.mp3", "duration": 3.0}]
    job.work()
    entry = read_entries(job.paths.ledger)[URIS[0]]
    assert (entry.status, entry.source, entry.refusals) == ("ok", "youtube", urls)
    assert server.requested["/410/0.mp3"] == 0


def test_errors_of_the_last_run_wait_for_their_time(
    job: Job, server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = replace(FAST, backoff_seconds=3600.0)
    job = replace(job, settings=replace(job.settings, recipe=replace(job.recipe, acquire=slow)))
    use(monkeypatch, job, server, {URIS[0]: "/500/0.mp3"})
    job.work()
    requests = server.requested.total()
    assert read_entries(job.paths.ledger)[URIS[0]].attempts == 1
    job.work()
    assert server.requested.total() == requests


def test_unchanged_files_of_the_user_are_not_read_again(
    tmp_path: Path, mp3_of: Callable[[float], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    music = tmp_path / "music"
    music.mkdir()
    for uri in URIS:
        shutil.copy(mp3_of(3.0), music / f"{uri}.mp3")
    monkeypatch.setattr(attempt, "CLOCK_SECONDS", 0.0)
    job = job_of("mp3", tmp_path / "data", mpd_dir=tmp_path, audio_dir=music)
    write_tracks(job, URIS)
    job.work()
    before = job.paths.ledger.read_bytes()
    assert job.work().facts["looked_up_now"] == 0
    assert job.paths.ledger.read_bytes() == before
    shutil.copy2(mp3_of(12.0), music / f"{URIS[1]}.mp3")  # its time lies before the first run
    assert job.work().facts["looked_up_now"] == 1
    assert read_entries(job.paths.ledger)[URIS[1]].duration_seconds == pytest.approx(12.0, abs=0.06)


def test_other_sources_make_the_finished_step_run_again_and_another_pace_does_not(job: Job, tmp_path: Path) -> None:
    for parent in job.upstream():
        write_json({"digest": "made before"}, parent.stamp)
    urls = tmp_path / "urls.csv"
    urls.write_text("track_uri,url\n")
    settings = job.settings
    listed = replace(settings, audio_urls=urls)
    variants = [
        settings,
        listed,
        replace(listed, audio_sources="urls,youtube"),
        replace(listed, audio_sources="youtube,urls"),
        replace(listed, audio_retry="final"),
    ]
    prints = [memo.fingerprint(replace(job, settings=variant)) for variant in variants]
    assert len(set(prints)) == len(variants)
    slower = replace(job.recipe, acquire=replace(FAST, search_seconds_between_tracks=99.0))
    assert memo.fingerprint(replace(job, settings=replace(settings, recipe=slower))) == prints[0]
    urls.write_text("track_uri,url\nx,https://example.org/x.mp3\n")
    assert memo.fingerprint(replace(job, settings=listed)) != prints[1]


def test_the_settings_sources_are_made_in_their_order(job: Job, tmp_path: Path) -> None:
    urls, music = tmp_path / "urls.csv", tmp_path / "music"
    urls.write_text("track_uri,url\nx,https://example.org/x.mp3\n")
    music.mkdir()
    (music / "x.mp3").write_bytes(b"x")
    settings = replace(job.settings, audio_urls=urls, audio_dir=music, audio_sources="youtube,folder,urls")
    with configured_sources(settings, job.dataset, []) as sources:
        assert [source.name for source in sources] == ["youtube", "folder", "urls"]
        assert [source.costs_requests for source in sources] == [True, False, True]
        assert [source.gate.seconds_between for source in sources if isinstance(source, Paced)] == [12.0, 0.0]
        bare = [getattr(source, "source", source) for source in sources]
        assert not any(source.options.allow_private for source in bare if isinstance(source, YtDlp))
    demo = replace(settings, mpd_dir=None, audio_dir=None, audio_urls=None, audio_sources="youtube")
    with configured_sources(demo, job.dataset, []) as sources:
        assert [source.name for source in sources] == ["yt-dlp"]
