"""One track's audio: each source in turn, the file measured and, where it was downloaded, put into the store.

Downloads go to the store that all datasets share, `<data_dir>/audio/ab/<track_uri>.<ext>`, under a temporary name
first; a file in the store has been decoded from end to end. One that was guessed from names is called
`<track_uri>.guess.<ext>`. The user's own files stay where they are.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from larp_core.audio.acquire.ledger import OK, Entry, is_retriable, now, refusal
from larp_core.audio.acquire.sources import AudioSource, Outcome, Track
from larp_core.audio.decode import CorruptAudio, measure
from larp_core.audio.names import track_file
from larp_core.data.readers.own_folder import AUDIO_SUFFIXES
from larp_core.runtime.files import hash_file, make_folder

STORE = "store"
GUESS = ".guess"
"""Marks a stored file that was guessed from names: who takes it up may know the track's length."""

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
    """The data folder, the store in it, and a folder of this process for what is being downloaded.

    `tolerance_seconds` is how far a guessed file of the store may be from the catalogue's length.
    """

    data_dir: Path
    store: Path
    folder: Path
    tolerance_seconds: float


def make_getter(
    sources: Sequence[AudioSource], data_dir: Path, store: Path, incoming: Path, tolerance_seconds: float
) -> Callable[[Request], Entry]:
    """The work of one process; see `map_in_processes`."""
    places = Places(data_dir, store, make_folder(incoming / str(os.getpid())), tolerance_seconds)
    return lambda request: get(request, sources, places)


def get(request: Request, sources: Sequence[AudioSource], places: Places) -> Entry:
    """The new row: of the first source that has the audio, else of the one that leaves most hope."""
    before = request.before
    memory = _Memory(before.attempts, before.refusal_of) if before else _Memory()
    entries: list[Entry] = []
    for entry in _asked_in_turn(request, sources, places, memory):
        entries.append(entry)
        if entry.status == OK or (entry.source == STORE and entry.status == "error"):
            entries = [entry]
            break
    entry = replace(_most_hopeful(entries), attempts=memory.attempts, refusals=_joined(memory.refusals, sources))
    return _unless_unchanged(entry, before)


@dataclass
class _Memory:
    """What the ledger keeps of requests: how many there were, and what each source refused."""

    attempts: int = 0
    refusals: dict[str, str] = field(default_factory=dict)


def _asked_in_turn(
    request: Request, sources: Sequence[AudioSource], places: Places, memory: _Memory
) -> Iterator[Entry]:
    """What each source has, the store before the first that costs requests."""
    is_store_due = True
    for source in sources:
        if is_store_due and source.costs_requests:
            is_store_due = False
            yield from _from_store(request, places)
        yield _asked(source, request, places, memory)
    if is_store_due:
        yield from _from_store(request, places)


def _asked(source: AudioSource, request: Request, places: Places, memory: _Memory) -> Entry:
    track, before, name = request.track, request.before, source.name
    question = source.question(track)
    if isinstance(question, Outcome):
        return _inspected(question, name, request, places)
    said = before.said(name, question) if before else None
    if said and not is_retriable(said, memory.attempts) and not request.asks_again:
        return _entry(track, Outcome(said, detail="said before, not asked again"), name)
    entry = _inspected(source.fetch(track, places.folder), name, request, places)
    memory.attempts += 1
    memory.refusals.pop(name, None)
    if entry.status != OK:
        memory.refusals[name] = refusal(entry.status, question)
    return entry


def _from_store(request: Request, places: Places) -> Iterator[Entry]:
    """The file that is there, if any; what is no audio or, by its length, another song is removed for every dataset."""
    place = track_file(places.store, request.track.track_uri, "")
    stored = min(place.parent.glob(f"{glob.escape(place.name)}.*"), default=None)
    if stored is None:
        return
    tolerance = places.tolerance_seconds if stored.suffixes[-2:-1] == [GUESS] else None
    entry = _inspected(Outcome(OK, stored, tolerance_seconds=tolerance), STORE, request, places)
    if entry.status in ("corrupt", "duration_mismatch"):
        stored.unlink(missing_ok=True)
        entry = replace(entry, path=None)
    yield entry


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
        final = _put_in_store(path, places.store, track, is_guess=tolerance is not None)
        return replace(found, path=ledger_path(final, places.data_dir))
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


def _put_in_store(path: Path, store: Path, track: Track, *, is_guess: bool) -> Path:
    suffix = path.suffix.lower()
    suffix = suffix if suffix in AUDIO_SUFFIXES else ".audio"
    final = track_file(store, track.track_uri, f"{GUESS}{suffix}" if is_guess else suffix)
    make_folder(final.parent)
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
    return path.replace(final)
