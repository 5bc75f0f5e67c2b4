"""A loopback HTTP server that behaves as badly as the internet does: what it does is the first part of the path.

`/ok/x.mp3` is served; `/broken/x.mp3` breaks off half-way; `/429/x.mp3` is refused; see `Hostile.do_GET`.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from larp_core.audio.acquire.downloads import DownloadOptions, Search
from larp_core.config import AcquireConfig


class HostileServer(ThreadingHTTPServer):
    """`body` is what is served; `requested` counts the paths; `headers` are added to refusals."""

    daemon_threads = True

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Hostile)
        self.body = body
        self.requested: Counter[str] = Counter()
        self.asked_at: list[float] = []
        self.refused_at: list[float] = []
        self.headers: dict[str, str] = {}
        self.refusals_left: dict[str, int] = {}
        self.results: list[dict] = []
        self.queries: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients hang up on much of this, as they should."""


@contextlib.contextmanager
def hostile_server(body: bytes) -> Iterator[HostileServer]:
    with HostileServer(body) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


MANIFESTS = {
    "dash": """<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"
        mediaPresentationDuration="PT99S"><Period><AdaptationSet mimeType="audio/mp4" contentType="audio">
        <Representation id="1" bandwidth="128000" codecs="mp4a.40.2"><SegmentTemplate media="/ok/$Number$.m4s"
        startNumber="1" duration="1" timescale="1"/></Representation></AdaptationSet></Period></MPD>""",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/ok/1.ts\n#EXTINF:9,\n/ok/2.ts\n#EXT-X-ENDLIST\n",
}
"""Lists of as many pieces as they like, each within the limits of one answer."""


class Hostile(BaseHTTPRequestHandler):
    server: HostileServer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:  # noqa: C901
        parts = urlsplit(self.path)
        act = parts.path.split("/")[1]
        self.server.requested[unquote(parts.path)] += 1
        self.server.asked_at.append(time.monotonic())
        body = self.server.body
        if act.isdigit():
            self._refuse(int(act), parts.path)
        elif act == "search":
            self.server.queries.append(parse_qs(parts.query)["q"][0])
            self._send(json.dumps(self.server.results).encode(), "application/json")
        elif act == "redirect":
            self._start(302, Location=parse_qs(parts.query)["to"][0])
        elif act == "broken":
            self._start(200, **{"Content-Length": str(len(body))})
            self.wfile.write(body[: len(body) // 2])
        elif act == "shorter":  # it says less than it sends
            self._start(200, **{"Content-Length": str(len(body) // 2)})
            self.wfile.write(body)
        elif act == "endless":
            self._start(200)
            while True:
                self.wfile.write(bytes(1 << 16))
        elif act == "throttled":
            self._start(200, **{"Content-Length": str(len(body))})
            for byte in body:
                self.wfile.write(bytes([byte]))
                time.sleep(0.05)
        elif act == "bomb":
            self._send(gzip.compress(bytes(80 << 20)), "text/html", **{"Content-Encoding": "gzip"})
        elif act in ("dash", "hls"):
            self._send(MANIFESTS[act].encode(), f"application/{'dash+xml' if act == 'dash' else 'x-mpegurl'}")
        elif act == "page":
            self._send(b"<html><body>No music here</body></html>", "text/html")
        else:
            self._send(body, "audio/mpeg")

    do_HEAD = do_GET

    def _refuse(self, status: int, path: str) -> None:
        """A number of times where the server has one for the path, else always."""
        left = self.server.refusals_left.get(path)
        if left == 0:
            return self._send(self.server.body, "audio/mpeg")
        if left is not None:
            self.server.refusals_left[path] = left - 1
        self.server.refused_at.append(time.monotonic())
        self._start(status, **{"Content-Length": "0"}, **self.server.headers)

    def _send(self, body: bytes, kind: str, **headers: str) -> None:
        self._start(200, **{"Content-Type": kind, "Content-Length": str(len(body))}, **headers)
        self.wfile.write(body)

    def _start(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "audio/mpeg", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()


class LoopbackSearch(Search):
    """The real search with an extractor that asks the test's server in YouTube's place."""

    def __init__(self, url: str, config: AcquireConfig) -> None:
        super().__init__("loopsearch", ("loopsearch", "generic"), DownloadOptions(config, allow_private=True))
        self.url = url

    def _downloader(self, folder: Path):
        from yt_dlp.extractor.common import SearchInfoExtractor

        is_new = folder not in self._downloaders
        downloader = super()._downloader(folder)
        url = self.url

        class LoopSearchIE(SearchInfoExtractor):
            _SEARCH_KEY = "loopsearch"
            IE_NAME = "loopsearch"

            def _search_results(self, query: str):
                for found in self._download_json(f"{url}/search?q={quote(query)}", None):
                    yield self.url_result(found["url"], "Generic", duration=found["duration"], video_title="x")

        if is_new:
            # Before the generic one, which would take the search for a URL.
            downloader._ies = {"LoopSearch": LoopSearchIE, **downloader._ies}
            downloader.add_info_extractor(LoopSearchIE(downloader))
            downloader._ies = {key: downloader._ies[key] for key in ("LoopSearch", "Generic")}
        return downloader
