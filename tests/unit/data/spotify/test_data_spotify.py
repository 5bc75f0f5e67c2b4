"""Look-ups at Spotify against a server of its shape: batches and their refusal, pauses, restarts, what is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from spotify_server import (
    CLIENT_ID,
    CLIENT_SECRET,
    SpotifyServer,
    basic,
    error_body,
    spotify_id,
    spotify_server,
    track_body,
)

from larp_core.config import SpotifyConfig
from larp_core.config.environment import SpotifyCredentials
from larp_core.data.spotify import client
from larp_core.data.spotify.answers import SpotifyAnswers
from larp_core.data.spotify.client import SpotifyClient
from larp_core.data.spotify.lookup import Lookup
from larp_core.runtime.errors import UserError
from larp_core.runtime.pacing import Gate

FAST = SpotifyConfig(
    batch_size=5, seconds_between_calls=0.0, timeout_seconds=2.0, first_pause_seconds=0.05, max_wait_seconds=1.1
)
IDS = [spotify_id(number) for number in range(12)]


@pytest.fixture
def server() -> Iterator[SpotifyServer]:
    with spotify_server() as running:
        yield running


@pytest.fixture
def look_up(tmp_path: Path, server: SpotifyServer) -> Iterator[Callable[..., Lookup]]:
    """One run: a client, gate and store of its own, on the same folder as the runs before."""
    stores: list[SpotifyAnswers] = []

    def run(ids: list[str], config: SpotifyConfig = FAST, client_id: str = CLIENT_ID) -> Lookup:
        stores.append(SpotifyAnswers(tmp_path / "answers.sqlite"))
        gate = Gate(
            tmp_path / "spotify.json",
            config.seconds_between_calls,
            config.first_pause_seconds,
            config.max_pause_seconds,
        )
        lookup = Lookup(SpotifyClient(SpotifyCredentials(client_id, CLIENT_SECRET), config), stores[-1], gate, config)
        lookup.ask_for(ids)
        return lookup

    yield run
    for store in stores:
        store.__exit__()


def test_tracks_are_asked_for_in_batches_and_once(server: SpotifyServer, look_up: Callable[..., Lookup]) -> None:
    missing = spotify_id(999)
    done = look_up([*IDS, missing, IDS[0]])
    assert [len(call) for call in server.calls] == [5, 5, 3]
    assert (done.num_calls, done.num_left, server.num_tokens) == (3, 0, 1)
    assert done.answers.counts() == {"ok": 12, "not_found": 1}
    assert done.answers.fields(IDS)[IDS[3]] == {
        "track_name": "Title 3",
        "artist_uri": "spotify:artist:First",
        "artist_name": "First",
        "album_uri": f"spotify:album:{3:022d}",
        "album_name": "Album 3",
        "duration_ms": 200_003,
    }
    again = look_up([*IDS, missing])
    assert (again.num_calls, len(server.calls), server.num_tokens) == (0, 3, 1)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refused_batch_is_remembered_and_single_calls_take_over(
    server: SpotifyServer, look_up: Callable[..., Lookup], status: int
) -> None:
    server.batch_status = status
    done = look_up([*IDS[:4], spotify_id(999)])
    assert [len(call) for call in server.calls] == [5, 1, 1, 1, 1, 1]
    assert done.answers.counts() == {"ok": 4, "not_found": 1}
    look_up(IDS)
    assert [len(call) for call in server.calls[6:]] == [1] * 8
    server.batch_status, server.credentials = 200, basic("another app")
    look_up([spotify_id(number) for number in range(20, 25)], client_id="another app")
    assert [len(call) for call in server.calls[14:]] == [5]  # another app has rights of its own


def test_an_id_that_is_none_costs_its_batch_but_not_the_others(
    server: SpotifyServer, look_up: Callable[..., Lookup]
) -> None:
    server.plan(400, error_body(400, "Invalid base62 id"))
    done = look_up(IDS)
    assert [len(call) for call in server.calls] == [5, 5, 2, 1, 1, 1, 1, 1]
    assert done.answers.counts() == {"ok": 12}


def test_a_rate_limit_is_sat_out(
    server: SpotifyServer, look_up: Callable[..., Lookup], caplog: pytest.LogCaptureFixture
) -> None:
    server.plan(429, b"Too many requests", Retry_After="1")
    started = time.time()
    done = look_up(IDS)
    assert time.time() - started >= 1.0
    assert [len(call) for call in server.calls] == [5, 5, 5, 2]
    assert done.answers.counts() == {"ok": 12}
    assert "spotify is paused until" in caplog.text and "HTTP 429" in caplog.text


def test_a_long_pause_is_left_to_a_later_run_and_outlives_a_restart(
    server: SpotifyServer, look_up: Callable[..., Lookup], tmp_path: Path
) -> None:
    server.plan(429, Retry_After="70000")
    started = time.time()
    done = look_up(IDS)
    assert (done.num_calls, done.num_left) == (1, 12)
    assert "HTTP 429, as planned" in done.why_left and "paused until" in done.why_left
    again = look_up(IDS)
    assert (again.num_calls, again.num_left, len(server.calls)) == (0, 12, 1)
    assert Gate(tmp_path / "spotify.json").paused_until == pytest.approx(started + 70_000, abs=5)
    assert time.time() - started < 1.5


def test_a_pause_beyond_all_measure_is_cut(
    server: SpotifyServer, look_up: Callable[..., Lookup], tmp_path: Path
) -> None:
    server.plan(429, Retry_After="999999999")
    look_up(IDS)
    assert Gate(tmp_path / "spotify.json").paused_until < time.time() + FAST.max_pause_seconds + 1


def test_a_server_that_says_at_once_is_not_asked_without_end(
    server: SpotifyServer, look_up: Callable[..., Lookup]
) -> None:
    for _ in range(100):
        server.plan(429, Retry_After="0")
    done = look_up(IDS)
    assert done.num_left == 12 and len(server.calls) <= 10


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"", b'{"error": "a word"}', b'{"error": {"message": null}}', b"\xff"]
)
@pytest.mark.parametrize("status", [200, 500, 503])
def test_odd_answers_are_failures_that_pass(
    server: SpotifyServer, look_up: Callable[..., Lookup], status: int, body: bytes
) -> None:
    server.plan(status, body)
    done = look_up(IDS)
    assert (done.num_left, done.answers.counts()) == (0, {"ok": 12})
    assert [len(call) for call in server.calls] == [5, 5, 2, 1, 1, 1, 1, 1]


def test_a_batch_answer_of_another_length_is_given_to_no_track(
    server: SpotifyServer, look_up: Callable[..., Lookup]
) -> None:
    server.plan(200, {"tracks": [track_body(77)] * 4})
    done = look_up(IDS)
    assert {fields["track_name"] for fields in done.answers.fields(IDS).values()} == {f"Title {n}" for n in range(12)}


def test_one_track_that_always_fails_is_given_up_and_the_rest_goes_on(
    server: SpotifyServer, look_up: Callable[..., Lookup]
) -> None:
    server.catalogue[IDS[1]] = ["no object"]
    server.batch_status = 403
    done = look_up(IDS)
    assert (done.num_left, done.answers.counts()) == (0, {"ok": 11, "error": 1})
    assert server.calls.count([IDS[1]]) == 5
    look_up(IDS)
    assert server.calls.count([IDS[1]]) == 5


def test_an_app_that_may_not_ask_at_all_stops_soon(server: SpotifyServer, look_up: Callable[..., Lookup]) -> None:
    for _ in range(50):
        server.plan(403, error_body(403, "Active premium subscription required"))
    done = look_up(IDS)
    assert (done.num_calls, done.num_left) == (4, 12)
    assert done.why_left == "HTTP 403, Active premium subscription required"


def test_a_token_that_has_run_out_is_renewed_once(server: SpotifyServer, look_up: Callable[..., Lookup]) -> None:
    server.plan(401, error_body(401, "The access token expired"))
    assert look_up(IDS[:3]).answers.counts() == {"ok": 3}
    assert server.num_tokens == 2
    for _ in range(2):
        server.plan(401, error_body(401, f"no good: {server.token}"))
    with pytest.raises(UserError, match=r"SPOTIPY_CLIENT_SECRET: Spotify refuses them \(HTTP 401, no good: \*\*\*\)"):
        look_up(IDS)


def test_refused_credentials_are_the_users_to_mend(server: SpotifyServer, look_up: Callable[..., Lookup]) -> None:
    server.credentials = "others"
    with pytest.raises(UserError, match=r"refuses them \(HTTP 400, invalid_client\); correct them, or unset") as raised:
        look_up(IDS)
    assert CLIENT_ID not in str(raised.value) and CLIENT_SECRET not in str(raised.value)
    assert server.calls == []


def test_a_dead_network_is_waited_for_and_left(look_up: Callable[..., Lookup], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TOKEN_URL", "http://127.0.0.1:9/api/token")
    done = look_up(IDS)
    assert done.num_left == 12 and "no answer (ConnectionError)" in done.why_left
    assert done.answers.counts() == {}  # no single track was to blame


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, None),
        ({"name": " ", "artists": [], "album": None, "duration_ms": 0}, None),
        ({"name": 7, "artists": "x", "album": [], "duration_ms": True}, None),
        ({"name": None, "artists": [None], "album": {"name": None}, "duration_ms": 2**40}, None),
        ({"name": "\ud800x"}, "?x"),
        ({"name": 'say "hi"\n مرحبا 🎸'}, 'say "hi"\n مرحبا 🎸'),
    ],
)
def test_what_a_body_lacks_or_garbles_is_null(tmp_path: Path, body: dict, expected: str | None) -> None:
    with SpotifyAnswers(tmp_path / "answers.sqlite") as answers:
        answers.record({"x": body})
        fields = answers.fields(["x"])["x"]
    assert fields.pop("track_name") == expected
    assert set(fields.values()) == {None}


def test_a_store_that_is_none_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "answers.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(UserError, match=r"answers\.sqlite: file is not a database; .* delete the file"):
        SpotifyAnswers(tmp_path / "answers.sqlite")
