"""A loopback server in the shape of Spotify's Web API and its token service: bodies, refusals, limits."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from larp_core.data.spotify import client

CLIENT_ID, CLIENT_SECRET = "c11e47c11e47c11e47", "s3cr37s3cr37s3cr37"


def basic(client_id: str) -> str:
    """What the secret and an id become in a header."""
    return base64.b64encode(f"{client_id}:{CLIENT_SECRET}".encode()).decode()


def spotify_id(number: int) -> str:
    return f"{number:022d}"


def track_body(number: int, **fields: Any) -> dict[str, Any]:
    """A track as development-mode apps get it today: without popularity, markets and external ids."""
    artists = [{"name": name, "uri": f"spotify:artist:{name}", "type": "artist"} for name in ("First", "Second")]
    return {
        "album": {"name": f"Album {number}", "uri": f"spotify:album:{number:022d}", "type": "album"},
        "artists": artists,
        "duration_ms": 200_000 + number,
        "id": spotify_id(number),
        "name": f"Title {number}",
        "type": "track",
        "uri": f"spotify:track:{spotify_id(number)}",
    } | fields


class SpotifyServer(ThreadingHTTPServer):
    """`catalogue` by id; `calls` lists what was asked, a token or the ids of a call; `planned` are answers to the next
    calls, `(status, headers, body)`, whatever they ask; `batch_status` of calls for several tracks,
    `seconds_a_call` what each takes."""

    daemon_threads = True

    def __init__(self, catalogue: dict[str, Any] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.catalogue = {spotify_id(number): track_body(number) for number in range(200)} | (catalogue or {})
        self.calls: list[list[str]] = []
        self.num_tokens = 0
        self.token = "t0k3n-t0k3n-t0k3n"
        self.credentials = basic(CLIENT_ID)
        self.batch_status = 200
        self.seconds_a_call = 0.0
        self.planned: deque[tuple[int, dict[str, str], bytes]] = deque()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def asked(self) -> list[str]:
        """Every id, as often as it was asked for."""
        return [track_id for call in self.calls for track_id in call]

    def plan(self, status: int, body: Any = None, **headers: str) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body or error_body(status)).encode()
        self.planned.append((status, {name.replace("_", "-"): value for name, value in headers.items()}, text))


def error_body(status: int, message: str = "as planned") -> dict[str, Any]:
    return {"error": {"status": status, "message": message}}


@contextlib.contextmanager
def spotify_server(catalogue: dict[str, Any] | None = None) -> Iterator[SpotifyServer]:
    with SpotifyServer(catalogue) as server, pytest.MonkeyPatch.context() as patch:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        patch.setattr(client, "API_URL", f"{server.url}/v1/")
        patch.setattr(client, "TOKEN_URL", f"{server.url}/api/token")
        patch.setenv("SPOTIPY_CLIENT_ID", CLIENT_ID)
        patch.setenv("SPOTIPY_CLIENT_SECRET", CLIENT_SECRET)
        try:
            yield server
        finally:
            server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    server: SpotifyServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet: a client would wait for the second

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        right = self.headers["Authorization"] == f"Basic {self.server.credentials}"
        if not right or form["grant_type"] != ["client_credentials"]:
            return self._send(400, {"error": "invalid_client", "error_description": "Invalid client"})
        self.server.num_tokens += 1
        self._send(200, {"access_token": self.server.token, "token_type": "Bearer", "expires_in": 3600})

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        name = parts.path.removeprefix("/v1/tracks").strip("/")
        ids = [name] if name else parse_qs(parts.query)["ids"][0].split(",")
        self.server.calls.append(ids)
        time.sleep(self.server.seconds_a_call)
        if self.server.planned:
            status, headers, body = self.server.planned.popleft()
            return self._send(status, body, headers)
        if self.headers["Authorization"] != f"Bearer {self.server.token}":
            return self._send(401, error_body(401, "Invalid access token"))
        if not name and self.server.batch_status != 200:
            return self._send(self.server.batch_status, error_body(self.server.batch_status, "Forbidden"))
        bodies = [self.server.catalogue.get(track_id) for track_id in ids]
        if not name:
            return self._send(200, {"tracks": bodies})
        self._send(200, bodies[0]) if bodies[0] else self._send(404, error_body(404, "Resource not found"))

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        standing = {"Content-Type": "application/json", "Content-Length": str(len(data))}
        for key, value in (standing | (headers or {})).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(data)
