"""The step mp3 on tables that the user is still at work on: bad rows, rows mended, URLs added and changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hostile_server import HostileServer
from listed_sources import entries_of, fast_job, refusals_of, use

from larp_core.audio.acquire import attempt
from larp_core.graph import memo
from larp_core.graph.job import Job
from larp_core.runtime.files import write_json

URIS = [f"{i:022d}" for i in range(4)]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    job = fast_job(tmp_path, URIS)
    job = replace(job, settings=replace(job.settings, audio_urls=job.settings.data_dir / "urls.csv"))
    for parent in job.upstream():
        write_json({"digest": "made before"}, parent.stamp)
    return job


def test_bad_rows_cost_their_tracks_alone_and_once_mended_are_asked_for(
    job: Job, server: HostileServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    music = tmp_path / "music"
    music.mkdir()
    (music / "song.mp3").write_bytes(server.body)
    monkeypatch.setattr(attempt, "CLOCK_SECONDS", 0.0)
    mapping = music / "mapping.csv"
    mapping.write_text(f"track_uri,file\n{URIS[0]},song.mp3\n{URIS[1]},gone.mp3\n,song.mp3\n")
    job = replace(job, settings=replace(job.settings, audio_dir=music))
    table = use(monkeypatch, job, server, {URIS[1]: "/ok/1.mp3", URIS[2]: "/ok/2.mp3", URIS[3]: "/404/3.mp3"})
    table.write_text(table.read_text().replace(f"{URIS[2]},http", f"{URIS[2]},me:hunter2@http"))
    report = memo.run(job).report
    entries = entries_of(job)
    assert [(entry.status, entry.source) for entry in entries] == [
        ("ok", "folder"),
        ("ok", "urls"),
        ("not_found", "folder"),
        ("not_found", "folder"),  # the first of two that say the same
    ]
    assert f"urls: not_found, {table}, line 3: " in entries[2].detail and "correct it" in entries[2].detail
    assert [refusals_of(entry) for entry in entries] == [{}, {}, {}, {"urls": "not_found"}]
    [title] = [title for title in report.tables if "can't be used" in title]
    assert [(row["row"], row["track_uri"]) for row in report.tables[title]] == [
        (f"{mapping}, line 3", URIS[1]),
        (f"{mapping}, line 4", ""),
        (f"{table}, line 3", URIS[2]),
    ]
    assert report.facts["num_unusable_rows"] == 3 and "hunter2" not in str(report) + str(entries)

    assert memo.run(job).reused
    requests, before = server.requested.total(), job.paths.ledger.read_bytes()
    assert job.work().facts["looked_up_now"] == 0
    assert (server.requested.total(), job.paths.ledger.read_bytes()) == (requests, before)

    use(monkeypatch, job, server, {URIS[1]: "/ok/1.mp3", URIS[2]: "/ok/2.mp3", URIS[3]: "/404/3.mp3"})
    again = memo.run(job)
    assert (again.reused, again.report.facts["looked_up_now"]) == (False, 1)
    assert [entry.status for entry in entries_of(job)] == ["ok", "ok", "ok", "not_found"]
    assert server.requested["/404/3.mp3"] == 1


def test_of_a_bad_row_that_moved_the_ledger_tells_the_new_line(
    job: Job, server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = use(monkeypatch, job, server, {URIS[0]: "/ok/0.mp3"})
    good = table.read_text()
    for rows, said in ((f"{URIS[1]},x\n", "line 3: 'x'"), (f"\n{URIS[1]},y\n", "line 4: 'y'"), ("", "no URL for it")):
        table.write_text(good + rows)
        job.work()
        assert said in entries_of(job)[1].detail
        assert job.work().facts["looked_up_now"] == 0


def test_a_url_that_was_added_or_changed_is_asked_for_and_no_other(
    job: Job, server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = {URIS[0]: "/410/0.mp3", URIS[1]: "/410/1.mp3"}
    use(monkeypatch, job, server, urls)
    memo.run(job)
    assert [refusals_of(entry) for entry in entries_of(job)] == [{"urls": "removed"}] * 2 + [{}] * 2
    assert [entry.attempts for entry in entries_of(job)] == [1, 1, 0, 0]
    assert memo.run(job).reused
    use(monkeypatch, job, server, urls | {URIS[1]: "/ok/1.mp3", URIS[2]: "/ok/2.mp3"})
    assert memo.run(job).report.facts["looked_up_now"] == 2
    assert [entry.status for entry in entries_of(job)] == ["removed", "ok", "ok", "not_found"]
    assert server.requested["/410/0.mp3"] == 1
    use(monkeypatch, job, server, {URIS[1]: "/410/1.mp3"})  # what is there needs no URL any more
    memo.run(job)
    assert [entry.status for entry in entries_of(job)] == ["not_found", "ok", "ok", "not_found"]
    assert server.requested["/410/1.mp3"] == 1


def test_names_that_became_known_are_searched_for(
    job: Job, server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = pl.read_parquet(job.paths.metadata)
    named.with_columns(track_name=pl.lit(""), artist_name=pl.lit("")).write_parquet(job.paths.metadata)
    use(monkeypatch, job, server, {}, search=True)
    job.work()
    assert "neither artist nor title" in entries_of(job)[0].detail and server.queries == []
    named.write_parquet(job.paths.metadata)
    job.work()
    assert len(server.queries) == 4
    job.work()
    assert len(server.queries) == 4
