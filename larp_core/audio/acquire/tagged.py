"""Looking up audio files by what their tags say: title and artist, with the length to tell versions apart."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from larp_core.audio.acquire.sources import Outcome, Track
from larp_core.data.readers.tags import load_tags


class TaggedFiles:
    """Audio files by title and artist; case, punctuation and compatibility forms make no difference.

    Of several files with these names the first whose length is the track's is taken. Where all are of another length
    they are other versions, such as a live one, and the outcome is a `duration_mismatch`.

    Args:
        files: audio files below `folder`.
        table: remembers the tags, so that each file is read once.
        tolerance_seconds: how far a file's length, as its header tells it, may be from the catalogue's.
    """

    def __init__(self, folder: Path, files: Sequence[Path], table: Path, tolerance_seconds: float) -> None:
        self._tolerance_seconds = tolerance_seconds
        self._files_of: dict[tuple[str, str], list[tuple[Path, int | None]]] = defaultdict(list)
        by_path = {file.relative_to(folder).as_posix().encode("utf-8", "replace").decode(): file for file in files}
        tags = load_tags(by_path, table).select("path", "title", "artist", "duration_ms")
        for path, title, artist, duration_ms in tags.iter_rows():
            if title and artist:
                self._files_of[_key(artist, title)].append((by_path[path], duration_ms))

    def __call__(self, track: Track) -> Outcome:
        files = self._files_of.get(_key(track.artist_name, track.track_name))
        if not files or not track.track_name or not track.artist_name:
            return Outcome(
                "not_found", detail="LARP_AUDIO_DIR holds no file of its id, no mapping to it, and none with its tags"
            )
        for file, duration_ms in files:
            if duration_ms is None or track.fits(duration_ms / 1000, self._tolerance_seconds):
                return Outcome("ok", file, tolerance_seconds=self._tolerance_seconds)
        lengths = ", ".join(f"{(duration_ms or 0) / 1000:.0f} s" for _, duration_ms in files)
        wanted = (track.duration_ms or 0) / 1000
        return Outcome("duration_mismatch", detail=f"files with its tags last {lengths}; wanted {wanted:.0f} s")


def _key(artist: str, title: str) -> tuple[str, str]:
    return _letters(artist), _letters(title)


def _letters(text: str) -> str:
    """Letters, marks, digits and symbols of any script; a name of punctuation alone stays as it is."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(sign for sign in plain if unicodedata.category(sign)[0] in "LMNS") or plain.strip()
