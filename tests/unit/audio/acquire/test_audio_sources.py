"""Sources: the user's folder and its mapping, and yt-dlp against real HTTP answers on loopback."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from larp_core.audio.acquire.downloads import DownloadOptions, YtDlp
from larp_core.audio.acquire.server import serve_folder
from larp_core.audio.acquire.sources import LocalFolder, Track
from larp_core.audio.names import safe_file_name, track_file
from larp_core.runtime.errors import UserError

LOOPBACK = DownloadOptions(allow_private=True)
SPOTIFY_ID = "0UaMYEvWZi0ZqiDOoHU3YI"


def fetch(folder: Path, uri: str):
    return LocalFolder(folder).fetch(Track(1, uri), folder)


def test_files_are_found_by_name_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in (f"{SPOTIFY_ID}.mp3", "deep/lfm:12.OGG", f"{safe_file_name('lfm:13')}.flac", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert fetch(tmp_path, SPOTIFY_ID).path == tmp_path / f"{SPOTIFY_ID}.mp3"
    assert fetch(tmp_path, "lfm:12").path == tmp_path / "deep/lfm:12.OGG"
    assert fetch(tmp_path, "lfm:13").status == "ok"
    missing = fetch(tmp_path, "notes")
    assert missing.status == "not_found"
    assert "LARP_AUDIO_DIR" in missing.detail


def test_a_folder_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"LARP_AUDIO_DIR: .* does not exist"):
        LocalFolder(tmp_path / "nope")
    with pytest.raises(UserError, match="holds no audio"):
        LocalFolder(tmp_path)
    (tmp_path / "file.mp3").write_bytes(b"x")
    with pytest.raises(UserError, match="is not a folder"):
        LocalFolder(tmp_path / "file.mp3")


@given(st.text(min_size=1, max_size=200), st.text(min_size=1, max_size=200))
def test_file_names_are_safe_and_different(first: str, second: str) -> None:
    name = safe_file_name(first)
    assert len(f"{name}.partial.flac".encode()) < 200
    assert name.isascii()
    assert not set(name) & set('/\\:*?"<>|\0 ')
    assert not name.startswith((".", "-"))
    assert (name == safe_file_name(second)) == (first == second)


@pytest.mark.parametrize("name", ["CON", "nul", "Lpt1", "-rf", "../../x", "x" * 4_000, "a\0b", "\ud800", "nul.mp3"])
def test_odd_ids_become_plain_names(name: str) -> None:
    safe = safe_file_name(name)
    assert re.fullmatch(r"[0-9a-f]{16}\.[A-Za-z0-9_-]{0,40}", safe)
    assert safe != safe_file_name(name + "x")


def test_spotify_ids_keep_their_name() -> None:
    assert track_file(Path("clips"), SPOTIFY_ID, ".flac") == Path("clips/0U") / f"{SPOTIFY_ID}.flac"


def test_yt_dlp_downloads_direct_links_byte_by_byte(tmp_path: Path, mp3_of: Callable[[float], Path]) -> None:
    web, store = tmp_path / "web", tmp_path / "store"
    web.mkdir()
    store.mkdir()
    original = mp3_of(3.0).read_bytes()
    for uri in (SPOTIFY_ID, "a b/c"):
        (web / f"{safe_file_name(uri)}.mp3").write_bytes(original)
    with serve_folder(web) as server:
        source = YtDlp(server.url + "/{file_name}.mp3", options=LOOPBACK)
        outcomes = [source.fetch(Track(i, uri), store) for i, uri in enumerate((SPOTIFY_ID, "a b/c"))]
        missing = source.fetch(Track(3, "missing"), store)
    assert [outcome.status for outcome in outcomes] == ["ok", "ok"]
    assert len({outcome.path for outcome in outcomes}) == 2
    assert all(outcome.path.read_bytes() == original and outcome.path.parent == store for outcome in outcomes)
    assert all(outcome.path.suffix == ".mp3" for outcome in outcomes)
    assert (missing.status, missing.path) == ("not_found", None)
    assert "404" in missing.detail


class _Refusing(BaseHTTPRequestHandler):
    """Answers `/<code>.mp3` with that status, and a code of 200 with a web page."""

    def do_GET(self) -> None:
        code = int(self.path.strip("/").split(".")[0])
        body = b"<html><body>No music here</body></html>"
        self.send_response(code)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def refusing() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (404, "not_found"),
        (410, "removed"),
        (429, "rate_limited"),
        (451, "geo_blocked"),
        (403, "error"),
        (200, "not_found"),
    ],
)
def test_http_refusals_are_typed(refusing: str, tmp_path: Path, code: int, status: str) -> None:
    source = YtDlp(refusing + "/{track_uri}.mp3", options=LOOPBACK)
    outcome = source.fetch(Track(1, str(code)), tmp_path)
    assert (outcome.status, outcome.path) == (status, None)
    assert outcome.detail
    assert not list(tmp_path.iterdir())


def test_a_dead_network_is_an_error_to_try_again(tmp_path: Path) -> None:
    with serve_folder(tmp_path) as server:
        url = server.url
    outcome = YtDlp(url + "/{track_uri}.mp3", options=LOOPBACK).fetch(Track(1, "x"), tmp_path)
    assert outcome.status == "error"
    assert "refused" in outcome.detail.lower()
