"""The loopback server: whole files, ranges, and nothing outside of its folder. By raw HTTP, as a client sends it."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from larp_core.audio.acquire.server import AudioServer, _requested_range, serve_folder

BODY = bytes(range(256)) * 4


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("web")
    (root / "secret.txt").write_text("secret")
    (root / "audio" / "deep").mkdir(parents=True)
    (root / "audio" / "a b.mp3").write_bytes(BODY)
    (root / "audio" / "deep" / "x.ogg").write_bytes(b"ogg")
    (root / "audio" / "link.mp3").symlink_to(root / "secret.txt")
    with serve_folder(root / "audio") as running:
        yield running


def ask(server: AudioServer, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, dict(response.getheaders()), body


def test_a_file_comes_whole_with_its_type_and_length(server: AudioServer) -> None:
    status, headers, body = ask(server, "/a%20b.mp3")
    assert (status, body) == (200, BODY)
    assert headers["Content-Type"] == "audio/mpeg"
    assert headers["Content-Length"] == str(len(BODY))
    assert headers["Accept-Ranges"] == "bytes"
    assert ask(server, "/deep/x.ogg")[2] == b"ogg"


def test_head_has_the_headers_and_no_body(server: AudioServer) -> None:
    status, headers, body = ask(server, "/a%20b.mp3", method="HEAD")
    assert (status, headers["Content-Length"], body) == (200, "1024", b"")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("bytes=0-0", slice(0, 1)), ("bytes=1000-", slice(1000, None)), ("bytes=-5", slice(-5, None))],
)
def test_ranges(server: AudioServer, asked: str, expected: slice) -> None:
    status, headers, body = ask(server, "/a%20b.mp3", Range=asked)
    assert (status, body) == (206, BODY[expected])
    assert headers["Content-Range"].endswith("/1024")


def test_a_range_behind_the_end_is_refused_and_the_connection_goes_on(server: AudioServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request("GET", "/a%20b.mp3", headers={"Range": "bytes=1024-"})
    refused = connection.getresponse()
    refused.read()
    assert (refused.status, refused.getheader("Content-Range")) == (416, "bytes */1024")
    connection.request("GET", "/a%20b.mp3")
    assert connection.getresponse().read() == BODY
    connection.close()


@pytest.mark.parametrize(
    "path", ["/", "/nope.mp3", "/../secret.txt", "/%2e%2e/secret.txt", "/link.mp3", "/deep", "//etc/passwd", "/%00"]
)
def test_nothing_outside_of_the_folder(server: AudioServer, path: str) -> None:
    status, _, body = ask(server, path)
    assert (status, body) == (404, b"")


@given(st.text("bytes=-0123456789, ", max_size=14), st.integers(0, 50))
def test_a_range_header_never_leaves_the_file(header: str, size: int) -> None:
    wanted = _requested_range(header, size)
    assert wanted is None or wanted == (0, size) or 0 <= wanted[0] < wanted[1] <= size


def test_it_listens_on_this_machine_alone(tmp_path: Path) -> None:
    with serve_folder(tmp_path) as server:
        assert server.server_address[0] == "127.0.0.1"
