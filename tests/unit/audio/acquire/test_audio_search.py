"""Searching by artist and title, against a server that answers in a video site's place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile_server import HostileServer, LoopbackSearch

from larp_core.audio.acquire.sources import Track
from larp_core.config import AcquireConfig

CONFIG = AcquireConfig(socket_timeout_seconds=2.0, sleep_between_requests_seconds=0.0)


@pytest.mark.parametrize(
    ("durations", "wanted_ms", "expected"),
    [
        ([200.0, 3.0, 3.1], 3_000, "/ok/1.mp3"),
        ([3.0], 3_000, "/ok/0.mp3"),
        ([8.1, 200.0], 3_000, None),
        ([None, 7.9], 3_000, "/ok/1.mp3"),
        ([None, 3.0], None, "/ok/0.mp3"),
    ],
)
def test_of_several_results_the_one_that_fits_is_taken(
    server: HostileServer, tmp_path: Path, durations: list[float | None], wanted_ms: int | None, expected: str | None
) -> None:
    server.results = [{"url": f"{server.url}/ok/{i}.mp3", "duration": seconds} for i, seconds in enumerate(durations)]
    server.requested.clear()
    outcome = LoopbackSearch(server.url, CONFIG).fetch(
        Track(1, "x", "  Sinner\tman ", "Nina Simone", wanted_ms), tmp_path
    )
    assert server.queries[-1] == "Nina Simone Sinner man"
    downloaded = {path for path in server.requested if path.startswith("/ok/")}
    assert downloaded == ({expected} if expected else set())
    assert outcome.status == ("ok" if expected else "duration_mismatch"), outcome
    if expected:
        assert outcome.tolerance_seconds == CONFIG.duration_tolerance_seconds
        assert bool(outcome.detail) == (wanted_ms is None)
    else:
        assert outcome.detail == "2 results of 8.1 s, 200.0 s; wanted 3 s"


def test_a_result_that_is_gone_makes_way_for_the_next(server: HostileServer, tmp_path: Path) -> None:
    server.results = [{"url": f"{server.url}/{act}/x.mp3", "duration": 3.0} for act in ("410", "404", "ok")]
    assert LoopbackSearch(server.url, CONFIG).fetch(Track(1, "x", "a", "b", 3_000), tmp_path).status == "ok"
    server.results = [{"url": f"{server.url}/{act}/x.mp3", "duration": 3.0} for act in ("410", "429", "ok")]
    assert LoopbackSearch(server.url, CONFIG).fetch(Track(1, "x", "a", "b", 3_000), tmp_path).status == "rate_limited"


def test_a_track_without_a_name_is_not_searched(server: HostileServer, tmp_path: Path) -> None:
    num_queries = len(server.queries)
    assert LoopbackSearch(server.url, CONFIG).fetch(Track(1, "x", " ", "\n"), tmp_path).status == "not_found"
    assert len(server.queries) == num_queries
