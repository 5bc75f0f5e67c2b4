"""A loopback HTTP server over a folder of audio: it stands in for the internet in the demo world and in tests."""

from __future__ import annotations

import contextlib
import mimetypes
import re
import sys
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

SINGLE_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
BLOCK_BYTES = 1 << 16


class AudioServer(ThreadingHTTPServer):
    """Serves the files below `folder`, and nothing outside of it. `requested` lists the paths asked for, in order."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder.resolve()
        self.requested: list[str] = []

    @property
    def url(self) -> str:
        """`http://127.0.0.1:<port>`, with no slash at its end."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that has seen enough of a file hangs up: yt-dlp's first look at each URL does.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def serve_folder(folder: Path) -> Iterator[AudioServer]:
    """A running server on a free port of this machine alone, stopped at the end."""
    with AudioServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: AudioServer

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: Any) -> None:
        """The ledger says what came of each request."""

    def _answer(self, with_body: bool) -> None:
        name = unquote(urlsplit(self.path).path).lstrip("/")
        self.server.requested.append(name)
        file = self._file(name)
        if file is None:
            return self._refuse(HTTPStatus.NOT_FOUND)
        size = file.stat().st_size
        wanted = _requested_range(self.headers.get("Range"), size)
        if wanted is None:
            return self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, {"Content-Range": f"bytes */{size}"})
        start, stop = wanted
        is_part = (start, stop) != (0, size)
        self.send_response(HTTPStatus.PARTIAL_CONTENT if is_part else HTTPStatus.OK)
        self.send_header("Content-Type", mimetypes.guess_type(file.name)[0] or "application/octet-stream")
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Accept-Ranges", "bytes")
        if is_part:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.end_headers()
        if with_body:
            self._send(file, start, stop)

    def _file(self, name: str) -> Path | None:
        if "\0" in name:
            return None
        file = (self.server.folder / name).resolve()
        return file if file.is_relative_to(self.server.folder) and file.is_file() else None

    def _send(self, file: Path, start: int, stop: int) -> None:
        with file.open("rb") as handle:
            handle.seek(start)
            while start < stop and (block := handle.read(min(BLOCK_BYTES, stop - start))):
                self.wfile.write(block)
                start += len(block)

    def _refuse(self, status: HTTPStatus, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()


def _requested_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Half-open byte range of a Range header (RFC 9110, section 14.2); None where it lies outside of the file.

    A header of another form or of several ranges is ignored, as the RFC allows: the whole file is sent.
    """
    match = SINGLE_RANGE.fullmatch(header.strip()) if header else None
    if not match or match.groups() == ("", ""):
        return 0, size
    first, last = match.groups()
    if not first:
        return (max(size - int(last), 0), size) if int(last) and size else None
    start, stop = int(first), min(int(last) + 1 if last else size, size)
    return (start, stop) if start < stop else None
