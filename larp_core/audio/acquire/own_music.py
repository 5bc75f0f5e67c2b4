"""The user's own music as a source of audio: files are used where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from larp_core.audio.acquire.pairs import BadRow
from larp_core.audio.acquire.sources import Outcome, Track
from larp_core.data.readers.own_folder import scan_folder, track_uri


class OwnMusic:
    """The files of `LARP_OWN_DIR` as a source of audio: looked up by track uri, never copied, moved or changed."""

    name = "own"
    costs_requests = False
    bad_rows: Sequence[BadRow] = ()

    def __init__(self, folder: Path) -> None:
        self._file_of = {track_uri(path): file for path, file in scan_folder(folder).audio.items()}

    def fetch(self, track: Track, folder: Path) -> Outcome:
        return self.question(track)

    def question(self, track: Track) -> Outcome:
        if track.track_uri in self._file_of:
            return Outcome("ok", self._file_of[track.track_uri])
        return Outcome("not_found", detail="the file is no longer in LARP_OWN_DIR")
