"""Helpers of the acquisition's tests: a list of URLs and a search, both answered by a server on loopback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from audio_files import job_of, write_tracks
from hostile_server import HostileServer, LoopbackSearch

from larp_core.audio.acquire import acquisition
from larp_core.audio.acquire.configured import paced
from larp_core.audio.acquire.downloads import DownloadOptions, UrlList
from larp_core.audio.acquire.ledger import Entry, read_entries
from larp_core.audio.acquire.sources import LocalFolder
from larp_core.config import AcquireConfig
from larp_core.graph.job import Job

FAST = AcquireConfig(
    sleep_between_requests_seconds=0.0,
    socket_timeout_seconds=2.0,
    first_pause_seconds=0.2,
    backoff_seconds=0.1,
    url_seconds_between_tracks=0.0,
)


def fast_job(folder: Path, uris: list[str]) -> Job:
    """The step mp3 of a dataset with these tracks, with waits of tenths of a second."""
    job = job_of("mp3", folder / "data", mpd_dir=folder)
    job = replace(job, settings=replace(job.settings, recipe=replace(job.recipe, acquire=FAST)))
    write_tracks(job, uris)
    return job


def use(
    monkeypatch: pytest.MonkeyPatch, job: Job, server: HostileServer, urls: dict[str, str], *, search: bool = False
) -> Path:
    """Makes the run's sources the test's server: the user's folder if any, the list of URLs, then the search.

    Returns the list.
    """
    table = job.settings.data_dir / "urls.csv"
    rows = [f"{uri},{server.url}{path}" for uri, path in urls.items()]
    table.write_text("\n".join(["track_uri,url", *rows]) + "\n")
    options = DownloadOptions(FAST, allow_private=True)

    @contextlib.contextmanager
    def sources(*_: object) -> Iterator[list[object]]:
        both = [UrlList(table, options), *([LoopbackSearch(server.url, FAST)] if search else [])]
        folder = [LocalFolder(job.settings.audio_dir)] if job.settings.audio_dir else []
        yield [*folder, *(paced(source, job.settings, 0.0) for source in both)]

    monkeypatch.setattr(acquisition, "configured_sources", sources)
    return table


def refusals_of(entry: Entry) -> dict[str, str]:
    """What each source said, without the digest of what it was asked."""
    return {source: said.partition("#")[0] for source, said in entry.refusal_of.items()}


def entries_of(job: Job) -> list[Entry]:
    """The ledger's rows, in the order of their tracks."""
    return list(read_entries(job.paths.ledger).values())


def with_lengths(job: Job, *milliseconds: int | None) -> None:
    """Gives the dataset's tracks these lengths."""
    tracks = pl.read_parquet(job.paths.metadata)
    lengths = pl.Series(milliseconds, dtype=pl.Int32)
    tracks.with_columns(duration_ms=lengths).write_parquet(job.paths.metadata)
