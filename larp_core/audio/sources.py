"""Where a track's audio comes from: the user's own folder, or a download by yt-dlp.

A source's `fetch` never raises for one track: it returns an `Outcome` with a status of the ledger's `STATUSES` and the
reason. What it returns is not yet known to be audio.
"""

from __future__ import annotations

import csv
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from larp_core.audio.names import bare_uri, safe_file_name
from larp_core.errors import UserError

AUDIO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("aac", "ac3", "aif", "aifc", "aiff", "alac", "amr", "ape", "au", "caf", "flac", "m4a", "m4b", "mka", "mp2"),
        *("mp3", "mp4", "mpc", "oga", "ogg", "opus", "spx", "tta", "w64", "wav", "weba", "webm", "wma", "wv"),
    )
)
MAPPING_FILE = "mapping.csv"
MAX_DOWNLOAD_BYTES = 300 * 1024 * 1024
MAX_REASON_CHARS = 300

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Track:
    """What a source may look a track up by."""

    track_id: int
    track_uri: str
    track_name: str = ""
    artist_name: str = ""


@dataclass(frozen=True)
class Outcome:
    """`path` is given where the status is `ok`."""

    status: str
    path: Path | None = None
    detail: str = ""


class AudioSource(Protocol):
    """`costs_requests` tells whether asking again costs anybody anything, `name` stands in the ledger."""

    name: str
    costs_requests: bool

    def fetch(self, track: Track, folder: Path) -> Outcome:
        """Finds the track's audio. A download is written into `folder`, and is the caller's to move or delete."""
        ...


class Unconfigured:
    """Stands for the source that the user hasn't named."""

    name = "none"
    costs_requests = False

    def fetch(self, track: Track, folder: Path) -> Outcome:
        return Outcome("not_found", detail="no source is configured: set LARP_AUDIO_DIR to a folder of audio files")


class LocalFolder:
    """The user's folder: `<track_uri>.<ext>` at any depth, or a `mapping.csv` in it, or both (the mapping wins).

    `mapping.csv` is UTF-8 CSV with the header `track_uri,file`: the id as in `tracks.parquet` (`spotify:track:` in
    front is fine), and the file's path, absolute or relative to the folder. Several tracks may name one file.

    Raises:
        UserError: no such folder, no audio in it, or a row of the mapping that can't be used.
    """

    name = "local"
    costs_requests = False

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            problem = "is not a folder" if folder.exists() else "does not exist"
            raise UserError(f"LARP_AUDIO_DIR: {folder} {problem}; set it to a folder of audio files")
        self.folder = folder
        files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES and file.is_file())
        mapping = folder / MAPPING_FILE
        if not files and not mapping.exists():
            raise UserError(
                f"LARP_AUDIO_DIR: {folder} holds no audio; put files named <track_uri>.mp3 there, or a {MAPPING_FILE}"
            )
        # Reversed, so that of several files of one track the first in the alphabet stays.
        self._file_of = {file.stem: file for file in reversed(files)}
        if mapping.exists():
            self._file_of |= read_mapping(mapping)

    def fetch(self, track: Track, folder: Path) -> Outcome:
        for name in (track.track_uri, safe_file_name(track.track_uri)):
            if name in self._file_of:
                return Outcome("ok", self._file_of[name])
        return Outcome("not_found", detail=f"LARP_AUDIO_DIR holds no {track.track_uri}.<ext> and no mapping to it")


def read_mapping(mapping: Path) -> dict[str, Path]:
    """Files by bare track uri, from a `mapping.csv`; see `LocalFolder`.

    Raises:
        UserError: the file, the line and the remedy, for the first row that can't be used.
    """
    files: dict[str, Path] = {}
    try:
        with mapping.open(encoding="utf-8-sig", newline="") as handle:
            rows = csv.DictReader(handle)
            if not {"track_uri", "file"} <= set(rows.fieldnames or []):
                raise UserError(f"{mapping}, line 1: the header lacks track_uri or file; make it 'track_uri,file'")
            for row in rows:
                uri, file = bare_uri(row["track_uri"] or ""), (row["file"] or "").strip()
                where = f"{mapping}, line {rows.line_num}"
                if not uri or not file:
                    raise UserError(f"{where}: track_uri or file is empty; fill in both or remove the line")
                path = mapping.parent / Path(file).expanduser()
                if not path.is_file():
                    raise UserError(f"{where}: file '{file}' does not exist; correct its path or remove the line")
                if files.setdefault(uri, path) != path:
                    raise UserError(f"{where}: track_uri '{uri}' has another file on an earlier line; keep one")
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{mapping}: not CSV in UTF-8 ({error}); save it as such, with the header 'track_uri,file'"
        ) from None
    return files


class YtDlp:
    """Downloads with yt-dlp, as a library.

    Args:
        query: what to ask yt-dlp for, a URL or one of its searches, with the fields of `Track` in braces (in a URL
            they get percent-encoded) and `{file_name}`, the id as a safe file name.
        extractors: patterns of the yt-dlp extractors allowed; `generic` takes direct links to audio and nothing else.
    """

    name = "yt-dlp"
    costs_requests = True

    def __init__(self, query: str, extractors: tuple[str, ...] = ("default",)) -> None:
        self.query = query
        self.extractors = extractors
        self._downloaders: dict[Path, Any] = {}

    def fetch(self, track: Track, folder: Path) -> Outcome:
        from yt_dlp.utils import YoutubeDLError

        try:
            info = self._downloader(folder).extract_info(self._query_for(track))
        except YoutubeDLError as error:
            return _refusal(error)
        entries = info.get("entries", [info]) if info else []
        downloads = [download for entry in entries for download in (entry or {}).get("requested_downloads") or []]
        if not downloads:
            return Outcome("not_found", detail="yt-dlp found nothing to download")
        path = Path(downloads[0]["filepath"])
        if not path.is_file():
            return Outcome("error", detail=f"nothing was written: empty, or larger than {MAX_DOWNLOAD_BYTES >> 20} MiB")
        return Outcome("ok", path)

    def _query_for(self, track: Track) -> str:
        fields = vars(track) | {"file_name": safe_file_name(track.track_uri)}
        if self.query.startswith(("http://", "https://")):
            fields = {name: quote(str(value), safe="") for name, value in fields.items()}
        return self.query.format(**fields)

    def _downloader(self, folder: Path) -> Any:
        """One YoutubeDL for all tracks of a process: making one costs as much as twenty downloads of a small file."""
        if folder not in self._downloaders:
            import imageio_ffmpeg
            import yt_dlp

            self._downloaders[folder] = yt_dlp.YoutubeDL(
                {
                    "format": "bestaudio/best",
                    "paths": {"home": str(folder)},
                    "outtmpl": "%(autonumber)s.%(ext)s",
                    "overwrites": True,
                    "updatetime": False,
                    "noplaylist": True,
                    "playlist_items": "1",
                    "allowed_extractors": list(self.extractors),
                    "ffmpeg_location": imageio_ffmpeg.get_ffmpeg_exe(),
                    "max_filesize": MAX_DOWNLOAD_BYTES,
                    "socket_timeout": 20,
                    "retries": 2,
                    "cachedir": False,
                    "quiet": True,
                    "noprogress": True,
                    "color": "no_color",
                    "logger": _QuietLog(),
                }
            )
        return self._downloaders[folder]


class _QuietLog:
    """yt-dlp's messages, as ours; its errors stand in the ledger, so none is repeated on the terminal."""

    def debug(self, message: str) -> None:
        log.debug(message)

    info = warning = error = debug


STATUS_OF_HTTP = {401: "age_gated", 404: "not_found", 410: "removed", 429: "rate_limited", 451: "geo_blocked"}
STATUS_OF_PHRASE = {
    "not a bot": "bot_check",
    "captcha": "bot_check",
    "rate-limited": "rate_limited",
    "too many requests": "rate_limited",
    "confirm your age": "age_gated",
    "age-restricted": "age_gated",
    "inappropriate for some users": "age_gated",
    "available in your country": "geo_blocked",
    "your location": "geo_blocked",
    "geo restrict": "geo_blocked",
    "has been removed": "removed",
    "been terminated": "removed",
    "private video": "removed",
    "no longer available": "removed",
    "video unavailable": "removed",
    "unsupported url": "not_found",
    "no video formats found": "not_found",
}
"""The first phrase in yt-dlp's message decides; what no phrase knows is an `error`, which is tried again."""


def _refusal(error: Exception) -> Outcome:
    """The typed outcome of a yt-dlp error: by its kind where it has one, else by the words of the message."""
    from yt_dlp.networking.exceptions import HTTPError
    from yt_dlp.utils import GeoRestrictedError

    detail = str(error).removeprefix("ERROR: ").split("; please report this issue")[0][:MAX_REASON_CHARS]
    for cause in _causes(error):
        if isinstance(cause, GeoRestrictedError):
            return Outcome("geo_blocked", detail=detail)
        if isinstance(cause, HTTPError) and cause.status in STATUS_OF_HTTP:
            return Outcome(STATUS_OF_HTTP[cause.status], detail=detail)
    words = detail.lower().replace("’", "'")
    known = (status for phrase, status in STATUS_OF_PHRASE.items() if phrase in words)
    return Outcome(next(known, "error"), detail=detail)


def _causes(error: BaseException | None) -> list[BaseException]:
    """The chain of errors inside a yt-dlp error: it keeps them as `exc_info` or `cause`."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        inner = (getattr(error, "exc_info", None) or (None, None))[1]
        error = inner if inner not in (None, error) else getattr(error, "cause", None) or error.__cause__
    return chain
