"""A folder of the user's own music: its audio files, each known by its path, and all else that lies there.

A track's identity is the path of its file below the folder, not its content: tags may be corrected and files encoded
anew, and nothing has to be read to know a track. So a file that is moved or renamed is another track, a folder that is
moved as a whole is the same one, and files that are added move nothing.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

OWN = "own:"
AUDIO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("aac", "ac3", "aif", "aifc", "aiff", "alac", "amr", "ape", "au", "caf", "flac", "m4a", "m4b", "mka", "mp2"),
        *("mp3", "mp4", "mpc", "oga", "ogg", "opus", "spx", "tta", "w64", "wav", "weba", "webm", "wma", "wv"),
    )
)


def track_uri(path: str) -> str:
    """`own:` and 22 hexadecimal digits, from a file's path below the folder (POSIX, Unicode NFC)."""
    return OWN + hashlib.blake2b(path.encode(), digest_size=11).hexdigest()


def normal(text: str) -> str:
    """Unicode NFC: macOS writes file names decomposed, playlists mostly aren't."""
    return unicodedata.normalize("NFC", text)


@dataclass(frozen=True)
class OwnFolder:
    """What lies in a folder of music; names with a leading dot are left out, links to folders aren't followed.

    Attributes:
        audio: the audio files by path below the folder (POSIX, NFC), in the order of the paths.
        others: all other files, in the same way.
        badly_named: files whose name is not UTF-8.
        unreadable: folders that can't be listed, and why.
    """

    folder: Path
    audio: dict[str, Path]
    others: dict[str, Path]
    badly_named: list[str]
    unreadable: dict[str, str]

    @cached_property
    def _by_folded_path(self) -> dict[str, list[str]]:
        return _grouped((_folded(path), path) for path in self.audio)

    @cached_property
    def _by_folded_name(self) -> dict[str, list[str]]:
        return _grouped((_folded(PurePosixPath(path).name), path) for path in self.audio)

    def at(self, parts: Sequence[str]) -> list[str]:
        """The audio file at this path below the folder; where there is none, those that differ in case alone."""
        path = normal("/".join(parts))
        return [path] if path in self.audio else self._by_folded_path.get(_folded(path), [])

    def named(self, name: str) -> list[str]:
        """The audio files of this name, in any folder and any case."""
        return self._by_folded_name.get(_folded(name), [])


def scan_folder(folder: Path) -> OwnFolder:
    """Lists a folder and all below it."""
    audio: dict[str, Path] = {}
    others: dict[str, Path] = {}
    badly_named: list[str] = []
    unreadable: dict[str, str] = {}

    def note(error: OSError) -> None:
        unreadable[os.path.relpath(error.filename, folder)] = error.strerror or str(error)

    for file in sorted(_visible_files(folder, note)):
        path = file.relative_to(folder).as_posix()
        if not _is_utf8(path):
            badly_named.append(os.fsencode(path).decode("utf-8", "replace"))
            continue
        kind = audio if file.suffix.lower() in AUDIO_SUFFIXES else others
        kind.setdefault(normal(path), file)
    return OwnFolder(folder, dict(sorted(audio.items())), dict(sorted(others.items())), badly_named, unreadable)


def _visible_files(folder: Path, note: Callable[[OSError], None]) -> Iterator[Path]:
    for place, folders, names in os.walk(folder, onerror=note):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (file for name in names if not name.startswith(".") and (file := Path(place, name)).is_file())


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _folded(text: str) -> str:
    return normal(normal(text).casefold())


def _grouped(pairs: Iterator[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return dict(groups)
