"""One track's audio: each source in turn, the file measured and, where it was downloaded, put into the store.

Downloads go to the store that all datasets share, `<data_dir>/audio/ab/<track_uri>.<ext>`, under a temporary name
first; a file in the store has been decoded from end to end. The user's own files stay where they are.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from larp_core.audio.decode import CorruptAudio, measure
from larp_core.audio.ledger import OK, Entry, is_retriable, now, refusal
from larp_core.audio.names import track_file
from larp_core.audio.sources import AUDIO_SUFFIXES, AudioSource, Outcome, Track
from larp_core.files import hash_file, make_folder

STORE = "store"
CLOCK_SECONDS = 1.0
"""A file changed this shortly before it was looked at may have changed again since."""


@dataclass(frozen=True)
class Request:
    """One track to be got, what the ledger said of it before, and whether sources that said no are asked again."""

    track: Track
    before: Entry | None
    asks_again: bool = False


@dataclass(frozen=True)
class Places:
    """The data folder, the store in it, and a folder of this process for what is being downloaded."""

    data_dir: Path
    store: Path
    folder: Path


def make_getter(
    sources: Sequence[AudioSource], data_dir: Path, store: Path, incoming: Path
) -> Callable[[Request], Entry]:
    """The work of one process; see `map_in_processes`."""
    places = Places(data_dir, store, make_folder(incoming / str(os.getpid())))
    return lambda request: get(request, sources, places)


def get(request: Request, sources: Sequence[AudioSource], places: Places) -> Entry:
    """The new row: of the first source that has the audio, else of the one that leaves most hope."""
    track, before = request.track, request.before
    stored = _stored(places.store, track)
    attempts = before.attempts if before else 0
    refusals = dict(before.refusal_of) if before else {}
    failures: list[Entry] = []
    if before and stored and before.path == ledger_path(stored, places.data_dir) and (why := mismatch(before, track)):
        stored.unlink()  # it is the wrong song for every dataset
        stored = None
        failures.append(_entry(track, Outcome("duration_mismatch", detail=why), before.source))
    for source in sources:
        if source.costs_requests and stored is not None:
            break
        question = source.question(track)
        if isinstance(question, str):
            said = before.said(source.name, question) if before else None
            if said and not is_retriable(said, attempts) and not request.asks_again:
                failures.append(_entry(track, Outcome(said, detail="said before, not asked again"), source.name))
                continue
            entry = _inspected(source.fetch(track, places.folder), source.name, request, places)
            attempts += 1
            refusals[source.name] = refusal(entry.status, question)
        else:
            entry = _inspected(question, source.name, request, places)
        if entry.status == OK:
            refusals.pop(source.name, None)
            return _unless_unchanged(replace(entry, attempts=attempts, refusals=_joined(refusals, sources)), before)
        failures.append(entry)
    if stored is not None:
        entry = _inspected(Outcome(OK, stored), STORE, request, places)
        return _unless_unchanged(replace(entry, attempts=attempts), before)
    failure = _most_hopeful(failures)
    return _unless_unchanged(replace(failure, attempts=attempts, refusals=_joined(refusals, sources)), before)


def crashed(request: Request, sources: Sequence[AudioSource], how: str) -> Entry:
    """The row of a track whose file took its process down with it."""
    before = request.before
    questions = {source.name: source.question(request.track) for source in sources}
    remote = {name: refusal("corrupt", question) for name, question in questions.items() if isinstance(question, str)}
    outcome = Outcome("corrupt", detail=how)
    attempts = (before.attempts if before else 0) + bool(remote)
    entry = _entry(request.track, outcome, [*(remote or questions)][-1])
    return replace(entry, attempts=attempts, refusals=_joined(remote, sources))


def local_file(track: Track, sources: Sequence[AudioSource]) -> Path | None:
    """The user's own file of a track, where a source that costs nothing has one."""
    for source in sources:
        if not source.costs_requests and (path := source.fetch(track, Path()).path) is not None:
            return path
    return None


def is_unchanged(before: Entry, path: Path, data_dir: Path) -> bool:
    """Whether the ledger's row is of this very file, and nothing was written to it since: no need to read it again."""
    if before.path != ledger_path(path, data_dir) or before.last_attempt_at is None:
        return False
    try:
        status = path.stat()
    except OSError:
        return False
    changed_at = max(status.st_mtime, status.st_ctime)  # ctime: a copy may have brought its old mtime along
    return before.status in (OK, "corrupt") and changed_at < before.last_attempt_at.timestamp() - CLOCK_SECONDS


def mismatch(entry: Entry, track: Track) -> str:
    """Why a file that was guessed from names, maybe before the track's length was known, is another; else empty."""
    seconds, tolerance = entry.duration_seconds, entry.tolerance_seconds
    if seconds is None or tolerance is None or track.fits(seconds, tolerance):
        return ""
    return f"it lasts {seconds:.0f} s; wanted {(track.duration_ms or 0) / 1000:.0f} s"


def ledger_path(path: Path, data_dir: Path) -> str:
    return str(path.relative_to(data_dir) if path.is_relative_to(data_dir) else path)


def _entry(track: Track, outcome: Outcome, source: str) -> Entry:
    return Entry(track.track_id, track.track_uri, outcome.status, source, last_attempt_at=now(), detail=outcome.detail)


def _inspected(outcome: Outcome, source: str, request: Request, places: Places) -> Entry:
    """The entry with what the file itself says; a new download that can be decoded moves into the store."""
    track, before, path = request.track, request.before, outcome.path
    entry = _entry(track, outcome, source)
    if path is None:
        return entry
    is_download = path.is_relative_to(places.folder)
    try:
        entry = replace(entry, sha256=hash_file(path), path=None if is_download else ledger_path(path, places.data_dir))
        is_known = before and (before.sha256, before.path) == (entry.sha256, entry.path)
        if before and is_known and before.status in (OK, "corrupt") and not mismatch(before, track):
            return replace(before, source=source)
        measured = measure(path)
    except CorruptAudio as error:
        return _refused(entry, path, is_download, "corrupt", str(error))
    except OSError as error:
        return replace(entry, status="error", detail=f"cannot read {path.name}: {error.strerror}")
    seconds, tolerance = round(measured.duration_seconds, 6), outcome.tolerance_seconds
    found = replace(entry, duration_seconds=seconds, decoder=measured.decoder, tolerance_seconds=tolerance)
    if why := mismatch(found, track):
        return replace(_refused(entry, path, is_download, "duration_mismatch", why), sha256=None)
    if is_download:
        return replace(found, path=ledger_path(_put_in_store(path, places.store, track), places.data_dir))
    return found


def _refused(entry: Entry, path: Path, is_download: bool, status: str, reason: str) -> Entry:
    if is_download:
        path.unlink()
    return replace(entry, status=status, detail=reason)


def _most_hopeful(failures: list[Entry]) -> Entry:
    """One that may end otherwise, else one that says more than "not found"; its detail tells what each source said."""
    best = max(failures, key=lambda entry: (entry.is_retriable, entry.status != "not_found"))
    if len(failures) == 1:
        return best
    return replace(best, detail="; ".join(f"{entry.source}: {entry.status}, {entry.detail}" for entry in failures))


def _joined(refusals: dict[str, str], sources: Sequence[AudioSource]) -> str:
    """What those sources said that are still asked, in their order."""
    names = [source.name for source in sources if source.name in refusals]
    return " ".join(f"{name}={refusals[name]}" for name in names)


def _unless_unchanged(entry: Entry, before: Entry | None) -> Entry:
    """The old entry where only the time of asking would differ, so that the ledger stays the same file."""
    if before and replace(entry, last_attempt_at=before.last_attempt_at) == before:
        return before
    return entry


def _put_in_store(path: Path, store: Path, track: Track) -> Path:
    suffix = path.suffix.lower()
    final = track_file(store, track.track_uri, suffix if suffix in AUDIO_SUFFIXES else ".audio")
    make_folder(final.parent)
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
    return path.replace(final)


def _stored(store: Path, track: Track) -> Path | None:
    place = track_file(store, track.track_uri, "")
    return min(place.parent.glob(f"{glob.escape(place.name)}.*"), default=None)
