"""Where a track's audio comes from: the interface of every source, and the user's own folder. Downloads: `downloads`.

A source's `fetch` never raises for one track: it returns an `Outcome` with a status of the ledger's `STATUSES` and the
reason. What it returns is not yet known to be audio.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from larp_core.audio.acquire.pairs import BadRow, UserTable, read_pairs, shown
from larp_core.audio.names import safe_file_name
from larp_core.data.readers.own_folder import AUDIO_SUFFIXES
from larp_core.runtime.errors import UserError

MAPPING_FILE = "mapping.csv"


@dataclass(frozen=True)
class Track:
    """What a source may look a track up by; `duration_ms` is None where the dataset knows none that makes sense."""

    track_id: int
    track_uri: str
    track_name: str = ""
    artist_name: str = ""
    duration_ms: int | None = None

    def fits(self, seconds: float, tolerance_seconds: float) -> bool:
        """Whether a recording of this length can be the track; True where its own is unknown."""
        return self.duration_ms is None or abs(seconds - self.duration_ms / 1000) <= tolerance_seconds


@dataclass(frozen=True)
class Outcome:
    """What a source says of one track.

    Attributes:
        path: given where the status is `ok`.
        tolerance_seconds: given where the file was guessed from names: how far the length that decoding it measures
            may be from the catalogue's.
        retry_after_seconds: how long a source that refuses asks to be left alone, where it says so.
    """

    status: str
    path: Path | None = None
    detail: str = ""
    tolerance_seconds: float | None = None
    retry_after_seconds: float | None = None


class AudioSource(Protocol):
    """What is asked for audio.

    Attributes:
        name: stands in the ledger.
        costs_requests: whether asking again costs anybody anything.
        bad_rows: of the user's table that the source reads, where it reads one.
    """

    name: str
    costs_requests: bool
    bad_rows: Sequence[BadRow]

    def question(self, track: Track) -> str | Outcome:
        """What would be asked for, in words that are the same for the same request; the outcome where none is needed.

        The ledger remembers a refusal together with the question: a URL that was added or changed, a name or length
        that is known now, are asked for again.
        """
        ...

    def fetch(self, track: Track, folder: Path) -> Outcome:
        """Finds the track's audio. A download is written into `folder`, and is the caller's to move or delete."""
        ...


ByNames = Callable[[Track], Outcome]


class Unconfigured:
    """Stands for the source that the user hasn't named."""

    name = "none"
    costs_requests = False
    bad_rows: Sequence[BadRow] = ()

    def fetch(self, track: Track, folder: Path) -> Outcome:
        return self.question(track)

    def question(self, track: Track) -> Outcome:
        return Outcome("not_found", detail="no source is configured: set LARP_AUDIO_DIR to a folder of audio files")


class LocalFolder:
    """The user's folder: `<track_uri>.<ext>` at any depth, or a `mapping.csv` in it, or both (the mapping wins).

    `mapping.csv` is UTF-8 CSV with the header `track_uri,file`: the id as in `tracks.parquet` (`spotify:track:` in
    front is fine), and the file's path, absolute or relative to the folder. Several tracks may name one file. What is
    found by neither is looked up by its tags, where `by_names` is set.

    Raises:
        UserError: no such folder, no audio in it, or a row of the mapping that can't be used.
    """

    name = "folder"
    costs_requests = False
    by_names: ByNames | None = None
    """Looks up by title and artist what is not found by its id; see `larp_core.audio.acquire.tagged`."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            problem = "is not a folder" if folder.exists() else "does not exist"
            raise UserError(f"LARP_AUDIO_DIR: {folder} {problem}; set it to a folder of audio files")
        self.folder = folder
        files = sorted(_audio_files(str(folder)))
        mapping = folder / MAPPING_FILE
        if not files and not mapping.exists():
            raise UserError(
                f"LARP_AUDIO_DIR: {folder} holds no audio; put files named <track_uri>.mp3 there, or a {MAPPING_FILE}"
            )
        self.files = files
        # Reversed, so that of several files of one track the first in the alphabet stays.
        self._file_of = {file.stem: file for file in reversed(files)}
        self._mapping: UserTable[Path] = read_mapping(mapping) if mapping.exists() else UserTable()
        self.bad_rows: Sequence[BadRow] = self._mapping.bad_rows

    def by_id(self, track: Track) -> Path | BadRow | None:
        """The file, or the row of the mapping that should have named it."""
        names = (track.track_uri, safe_file_name(track.track_uri))
        named = next((self._file_of[name] for name in names if name in self._file_of), None)
        return self._mapping.find(track.track_uri) or named

    def fetch(self, track: Track, folder: Path) -> Outcome:
        return self.question(track)

    def question(self, track: Track) -> Outcome:
        found = self.by_id(track)
        if isinstance(found, BadRow):
            return Outcome("not_found", detail=str(found))
        if found is not None:
            return Outcome("ok", found)
        if self.by_names is not None:
            return self.by_names(track)
        return Outcome("not_found", detail=f"LARP_AUDIO_DIR holds no {track.track_uri}.<ext> and no mapping to it")


def _audio_files(folder: str) -> Iterator[Path]:
    """At any depth; links to folders aren't followed, folders that can't be listed are passed over.

    What the listing tells is enough: a look at each file would take minutes for a large folder on a network disk.
    """
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _audio_files(entry.path)
                elif Path(entry.name).suffix.lower() in AUDIO_SUFFIXES and entry.is_file():
                    yield Path(entry.path)
    except PermissionError:
        return


def read_mapping(mapping: Path) -> UserTable[Path]:
    """Files from a `mapping.csv`; see `LocalFolder`.

    Raises:
        UserError: it can't be used at all, see `read_pairs`.
    """

    def existing(name: str) -> Path:
        with contextlib.suppress(OSError, RuntimeError, ValueError):  # too long a name, no such user's home, a NUL
            if (path := mapping.parent / Path(name).expanduser()).is_file():
                return path
        raise ValueError(f"file {shown(name)} does not exist; correct its path or remove the line")

    return read_pairs(mapping, "file", existing)
