"""Which file an entry of a playlist means: relative and absolute paths, Windows' and POSIX', and `file:` URLs.

Everything is compared as text with the list of the folder's audio files: nothing outside the folder is opened, or even
asked for, whatever a playlist says. An absolute path from another place, since the folder was moved or the playlist
written on another machine, means the file whose whole path below the folder it ends with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote

from larp_core.data.readers.own_folder import AUDIO_SUFFIXES, OwnFolder, normal

WEB = "entries that are web addresses, not files"
OUTSIDE = "entries that point outside the folder"
MISSING = "entries whose file is not in the folder"
SEVERAL = "entries that fit several files"
NOT_AUDIO = "entries that are not audio files"

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
FILE_URL = re.compile(r"file:/+", re.IGNORECASE)
DRIVE = re.compile(r"/*[A-Za-z]:[\\/]")


def find_file(own: OwnFolder, text: str, base: tuple[str, ...], *, by_name: bool = False) -> tuple[str, str]:
    """The path below the folder of the audio file that `text` means, and why there is none: one of them is empty.

    Args:
        base: the folders that a relative path starts from, below the user's folder.
        by_name: whether a bare name may mean a file in any folder.
    """
    if URL.match(text) and not FILE_URL.match(text):
        return "", WEB
    problem = ""
    for way in _ways_to_read(text):
        found, problem = _locate(own, way, base)
        if not found and problem == MISSING and by_name and "/" not in way:
            found = own.named(way)
        if found:
            return (found[0], "") if len(found) == 1 else ("", SEVERAL)
    return "", problem


def _ways_to_read(text: str) -> Iterator[str]:
    """As it stands first: percent signs and backslashes may belong to a name."""
    for way in [_path_of(text)] if FILE_URL.match(text) else dict.fromkeys((text, unquoted(text))):
        yield way
        if "\\" in way:
            yield way.replace("\\", "/")


def _path_of(file_url: str) -> str:
    """The absolute path of a `file:` URL (RFC 8089); a foreign host becomes its first folder."""
    rest = unquoted(file_url[len("file:") :])
    if not rest.startswith("//"):
        return rest
    host, _, path = rest[2:].partition("/")
    return f"/{path}" if host.lower() in ("", "localhost") else f"/{host}/{path}"


def unquoted(text: str) -> str:
    """Without percent-escapes, which are UTF-8 or, from old players, Latin-1."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return unquote(text, encoding="latin-1")


def _locate(own: OwnFolder, text: str, base: tuple[str, ...]) -> tuple[list[str], str]:
    root = [normal(part) for part in own.folder.parts[1:]]
    written = _joined([], text)
    is_absolute = text.startswith("/") or bool(DRIVE.match(text))
    whole = written if is_absolute else _joined([*root, *base], text)
    if whole[: len(root)] == root:
        below = whole[len(root) :]
        found = own.at(below) or ([] if is_absolute else own.at(written))
        return found, "" if found else _absence(below)
    endings = (own.at(written[start:]) for start in range(len(written)) if is_absolute)
    return next(filter(None, endings), []), OUTSIDE if _absence(written) == MISSING else NOT_AUDIO


def _joined(start: list[str], text: str) -> list[str]:
    """The parts of a path with `.` and `..` resolved as text."""
    parts = list(start)
    for part in text.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(normal(part))
    return parts


def _absence(parts: list[str]) -> str:
    return MISSING if parts and PurePosixPath(parts[-1]).suffix.lower() in AUDIO_SUFFIXES else NOT_AUDIO
