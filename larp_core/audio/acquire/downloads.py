"""Downloads with yt-dlp, as a library and behind a guard: from a list of URLs, or found by artist and title.

Nothing is run through a shell, and no name of a track becomes a file's: yt-dlp counts its files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from larp_core.audio.acquire.pairs import BadRow, UserTable, read_pairs, shown
from larp_core.audio.acquire.refusals import redacted, refusal_of
from larp_core.audio.acquire.sources import Outcome, Track
from larp_core.audio.names import safe_file_name
from larp_core.config import AcquireConfig

MAX_DOWNLOAD_BYTES = 300 * 1024 * 1024
MAX_QUERY_CHARS = 200
FORMAT = "bestaudio[protocol~='^https?$']/best[protocol~='^https?$']"
"""Whole files, which yt-dlp's own client downloads: other protocols would be handed to ffmpeg, which no guard watches,
or come in as many pieces as a list names, each with limits of its own."""


@dataclass(frozen=True)
class DownloadOptions:
    """How downloads are made; `allow_private` is for the demo world's server and for tests."""

    acquire: AcquireConfig = field(default_factory=AcquireConfig)
    cookies_file: Path | None = None
    allow_private: bool = False


class YtDlp:
    """Downloads from a URL that is made of the track's fields.

    Args:
        query: a URL with the fields of `Track` in braces, and `{file_name}`, the id as a safe file name; they get
            percent-encoded.
        extractors: patterns of the yt-dlp extractors allowed; `generic` takes direct links to audio and nothing else.
    """

    name = "yt-dlp"
    costs_requests = True
    bad_rows: Sequence[BadRow] = ()

    def __init__(
        self, query: str, extractors: tuple[str, ...] = ("generic",), options: DownloadOptions | None = None
    ) -> None:
        self.query = query
        self.extractors = extractors
        self.options = options or DownloadOptions()
        self._downloaders: dict[Path, Any] = {}

    def question(self, track: Track) -> str | Outcome:
        return urlsplit(self._url_for(track)).path  # the demo world's server has another port in each run

    def fetch(self, track: Track, folder: Path) -> Outcome:
        return self._download(self._url_for(track), folder)

    def _url_for(self, track: Track) -> str:
        fields = asdict(track) | {"file_name": safe_file_name(track.track_uri)}
        return self.query.format(**{name: _quoted(value) for name, value in fields.items()})

    def _download(self, url: str, folder: Path) -> Outcome:
        info = self._ask(url, folder, download=True)
        if isinstance(info, Outcome):
            return info
        entries = info.get("entries", [info]) if info else []
        downloads = [download for entry in entries for download in (entry or {}).get("requested_downloads") or []]
        if not downloads:
            return Outcome("not_found", detail="yt-dlp found nothing to download")
        path = Path(downloads[0].get("filepath") or folder)
        if not path.is_file():
            return Outcome("error", detail=f"nothing was written: empty, or larger than {MAX_DOWNLOAD_BYTES >> 20} MiB")
        return Outcome("ok", path)

    def _ask(self, query: str, folder: Path, download: bool) -> Any:
        """yt-dlp's own answer, or the outcome where it has none."""
        downloader = self._downloader(folder)
        try:
            return downloader.extract_info(query, download=download)
        except Exception as error:  # odd pages raise what comes, and one track is all that it costs
            return refusal_of(error)

    def _downloader(self, folder: Path) -> Any:
        """One YoutubeDL for all tracks of a process: making one costs as much as twenty downloads of a small file."""
        if folder not in self._downloaders:
            from larp_core.audio.acquire.guarded import Guard, GuardedYoutubeDL

            guard = Guard(MAX_DOWNLOAD_BYTES, self.options.acquire.download_seconds, self.options.allow_private)
            self._downloaders[folder] = GuardedYoutubeDL(self._yt_dlp_options(folder), guard)
        return self._downloaders[folder]

    def _yt_dlp_options(self, folder: Path) -> dict[str, Any]:
        import imageio_ffmpeg

        acquire, cookies = self.options.acquire, self.options.cookies_file
        return {
            "format": FORMAT,
            "paths": {"home": str(folder)},
            "outtmpl": "%(autonumber)s.%(ext)s",
            "overwrites": True,
            "updatetime": False,
            "noplaylist": True,
            "playlist_items": "1",
            "allowed_extractors": list(self.extractors),
            "ffmpeg_location": imageio_ffmpeg.get_ffmpeg_exe(),
            "fixup": "never",
            "hls_prefer_native": True,
            "max_filesize": MAX_DOWNLOAD_BYTES,
            "ratelimit": acquire.max_bytes_per_second,
            "socket_timeout": acquire.socket_timeout_seconds,
            "retries": 2,
            "extractor_retries": 1,
            "cookiefile": str(cookies) if cookies else None,
            "cachedir": False,
            "quiet": True,
            "noprogress": True,
            "color": "no_color",
            "logger": _QuietLog(),
        }


class UrlList(YtDlp):
    """Direct links to audio files, from a UTF-8 CSV with the header `track_uri,url`.

    Raises:
        UserError: the table can't be used at all, see `read_pairs`. No message shows a password of a URL.
    """

    name = "urls"

    def __init__(self, table: Path, options: DownloadOptions | None = None) -> None:
        super().__init__("", ("generic",), options)
        self._urls = read_urls(table)
        self.bad_rows: Sequence[BadRow] = self._urls.bad_rows

    def question(self, track: Track) -> str | Outcome:
        found = self._urls.find(track.track_uri)
        if isinstance(found, str):
            return found
        return Outcome("not_found", detail=str(found or "LARP_AUDIO_URLS has no URL for it"))

    def fetch(self, track: Track, folder: Path) -> Outcome:
        url = self.question(track)
        return url if isinstance(url, Outcome) else self._download(url, folder)


def read_urls(table: Path) -> UserTable[str]:
    """URLs by bare track uri; see `UrlList`."""

    def web_url(url: str) -> str:
        if not _is_web_url(url):
            plain = redacted(url).rpartition("@")[2]  # a password may stand in a URL that is written wrongly, too
            raise ValueError(f"{shown(plain)} is not an http or https URL; correct it or remove the line")
        return url

    return read_pairs(table, "url", web_url)


class Search(YtDlp):
    """The first result of a search by artist and title whose length is that of the track.

    One request lists the results with their lengths; none is downloaded that is further from the catalogue's length
    than the tolerance. Where the catalogue has no length, the first result is taken and the ledger says so.

    Args:
        prefix: yt-dlp's name of the search, `ytsearch`.
    """

    name = "youtube"

    def __init__(
        self,
        prefix: str = "ytsearch",
        extractors: tuple[str, ...] = (r"youtube(:search)?",),
        options: DownloadOptions | None = None,
    ) -> None:
        super().__init__(prefix, extractors, options)

    def question(self, track: Track) -> str | Outcome:
        words = self._words(track)
        return words if isinstance(words, Outcome) else f"{words} {track.duration_ms}"

    def _words(self, track: Track) -> str | Outcome:
        words = " ".join(f"{track.artist_name} {track.track_name}".split())
        words = "".join(sign for sign in words if sign.isprintable())[:MAX_QUERY_CHARS].strip()
        return words or Outcome("not_found", detail="it has neither artist nor title to search by")

    def fetch(self, track: Track, folder: Path) -> Outcome:
        if isinstance(words := self._words(track), Outcome):
            return words
        found = self._ask(f"{self.query}{self.options.acquire.search_results}:{words}", folder, download=False)
        if isinstance(found, Outcome):
            return found
        results = [result for result in (found or {}).get("entries") or [] if _is_web_url((result or {}).get("url"))]
        return self._first_that_fits(track, results, folder) if results else Outcome("not_found", detail="no result")

    def _first_that_fits(self, track: Track, results: list[dict[str, Any]], folder: Path) -> Outcome:
        tolerance = self.options.acquire.duration_tolerance_seconds
        fitting = [result for result in results if _fits(track, result.get("duration"), tolerance)]
        if not fitting:
            lengths = ", ".join(f"{result.get('duration') or '?'} s" for result in results)
            wanted = (track.duration_ms or 0) / 1000
            return Outcome("duration_mismatch", detail=f"{len(results)} results of {lengths}; wanted {wanted:.0f} s")
        outcome = Outcome("not_found")
        for result in fitting:
            outcome = self._download(result["url"], folder)
            if outcome.status == "ok":
                unchecked = "" if track.duration_ms else "the dataset has no length to check the first result by"
                return Outcome("ok", outcome.path, unchecked, tolerance_seconds=tolerance)
            if outcome.status not in ("removed", "geo_blocked", "age_gated", "not_found"):
                break
        return outcome

    def _yt_dlp_options(self, folder: Path) -> dict[str, Any]:
        import deno

        acquire = self.options.acquire
        return super()._yt_dlp_options(folder) | {
            "js_runtimes": {"deno": {"path": deno.find_deno_bin()}},
            "extract_flat": "in_playlist",
            "playlist_items": f"1:{acquire.search_results}",
            "sleep_interval_requests": acquire.sleep_between_requests_seconds,
        }


def _fits(track: Track, seconds: Any, tolerance_seconds: float) -> bool:
    if not isinstance(seconds, int | float):
        return track.duration_ms is None
    return track.fits(seconds, tolerance_seconds)


def _quoted(value: Any) -> str:
    return quote(str(value).encode("utf-8", "replace"), safe="")


def _is_web_url(url: Any) -> bool:
    try:
        parts = urlsplit(str(url))
    except ValueError:
        return False
    return parts.scheme.lower() in ("http", "https") and bool(parts.hostname)


class _QuietLog:
    """Keeps yt-dlp silent: its errors stand in the ledger, and what else it says may hold secrets of a URL."""

    def debug(self, message: str) -> None:
        pass

    info = warning = error = debug
