"""Getting the audio of every track of the split, once, and writing down what came of it.

Downloads go to the store that all datasets share, `<data_dir>/audio/ab/<track_uri>.<ext>`, under a temporary name
first; a file in the store has been decoded from end to end. The user's own files stay where they are.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
from tqdm import tqdm

from larp_core.audio.decode import CorruptAudio, measure
from larp_core.audio.ledger import OK, Entry, Ledger, now
from larp_core.audio.names import track_file
from larp_core.audio.own_music import OwnMusic
from larp_core.audio.server import serve_folder
from larp_core.audio.sources import AudioSource, LocalFolder, Outcome, Track, Unconfigured, YtDlp
from larp_core.audio.workers import Crashed, map_in_processes
from larp_core.files import hash_file, make_folder
from larp_core.paths import DatasetPaths
from larp_core.settings import DATASETS_WITH_AUDIO, Settings
from larp_core.steps import Job, Report

STORE = "store"
INCOMING = ".incoming"
MAX_ROWS_SHOWN = 20


@dataclass(frozen=True)
class Request:
    """One track to be got, and what the ledger said of it before."""

    track: Track
    before: Entry | None


def acquire_audio(job: Job) -> Report:
    """Fills the ledger: one row for every track of the split.

    Tracks whose outcome is final are not asked for again; files in the store, put there by another dataset or by a run
    that was killed, cost no request. Two datasets that run at once go through their tracks in different orders.

    Raises:
        UserError: LARP_AUDIO_DIR or its mapping can't be used, or the data folder can't be written.
    """
    tracks = _tracks_of(job.paths)
    ledger = Ledger(job.paths.ledger)
    ledger.keep_only({track.track_uri: track.track_id for track in tracks})
    store = make_folder(job.settings.shared.audio)
    incoming = store / INCOMING / job.dataset
    shutil.rmtree(incoming, ignore_errors=True)
    with _source(job.settings, job.dataset) as source:
        requests = [Request(track, ledger.entries.get(track.track_uri)) for track in _shuffled(tracks, job.dataset)]
        requests = [request for request in requests if not _is_settled(request, source, job.settings.data_dir)]
        arguments = (source, job.settings.data_dir, store, incoming)
        progress = tqdm(
            map_in_processes(make_getter, arguments, requests), f"{job.dataset}/mp3", len(requests), unit="track"
        )
        for request, entry in progress:
            ledger.record(_crashed(request, source) if isinstance(entry, Crashed) else entry)
    shutil.rmtree(incoming, ignore_errors=True)
    return _report(ledger.save(), num_looked_up=len(requests))


@contextlib.contextmanager
def _source(settings: Settings, dataset: str) -> Iterator[AudioSource]:
    """The one source that the settings call for; the demo world's files come over HTTP, as real ones would."""
    folder = settings.audio_dir_of(dataset)
    if folder:
        yield OwnMusic(folder) if dataset in DATASETS_WITH_AUDIO else LocalFolder(folder)
    elif settings.is_demo:
        with serve_folder(settings.shared.demo_world / "audio") as server:
            yield YtDlp(server.url + "/{file_name}.mp3", extractors=("generic",))
    else:
        yield Unconfigured()


def _is_settled(request: Request, source: AudioSource, data_dir: Path) -> bool:
    """True where nothing is to be done: a final outcome of a source that costs requests, or its file in the store.

    Look-ups on this machine are always repeated, for the user may have added or replaced a file.
    """
    before = request.before
    if before is None or not source.costs_requests or before.is_retriable:
        return False
    if before.status == OK:
        return before.source in (source.name, STORE) and not before.is_lost(data_dir)
    return before.source == source.name


def make_getter(source: AudioSource, data_dir: Path, store: Path, incoming: Path) -> Callable[[Request], Entry]:
    """The work of one process; see `map_in_processes`."""
    folder = make_folder(incoming / str(os.getpid()))
    return lambda request: _get(request, source, data_dir, store, folder)


def _get(request: Request, source: AudioSource, data_dir: Path, store: Path, folder: Path) -> Entry:
    track, before = request.track, request.before
    attempts = before.attempts if before else 0
    stored = _stored(store, track)
    outcome, name = Outcome(OK, stored), STORE
    if stored is None or not source.costs_requests:
        found = source.fetch(track, folder)
        attempts += source.costs_requests
        if found.status == OK or stored is None:
            outcome, name = found, source.name
    entry = Entry(
        track.track_id,
        track.track_uri,
        outcome.status,
        name,
        attempts=attempts,
        last_attempt_at=now(),
        detail=outcome.detail,
    )
    if outcome.path is None:
        return _unless_unchanged(entry, before)
    return _inspected(entry, outcome.path, track, before, data_dir, store, folder)


def _inspected(
    entry: Entry, path: Path, track: Track, before: Entry | None, data_dir: Path, store: Path, folder: Path
) -> Entry:
    """The entry with what the file itself says; a new download that can be decoded moves into the store."""
    is_download = path.is_relative_to(folder)
    try:
        entry = replace(entry, sha256=hash_file(path), path=None if is_download else _ledger_path(path, data_dir))
        if before and before.sha256 == entry.sha256 and before.path == entry.path and before.status in (OK, "corrupt"):
            return _unless_unchanged(replace(before, source=entry.source), before)
        measured = measure(path)
    except CorruptAudio as error:
        if is_download:
            path.unlink()
        return replace(entry, status="corrupt", detail=str(error))
    except OSError as error:
        return replace(entry, status="error", detail=f"cannot read {path.name}: {error.strerror}")
    if is_download:
        entry = replace(entry, path=_ledger_path(_put_in_store(path, store, track), data_dir))
    return replace(entry, duration_seconds=round(measured.duration_seconds, 6), decoder=measured.decoder)


def _unless_unchanged(entry: Entry, before: Entry | None) -> Entry:
    """The old entry where only the time of asking would differ, so that the ledger stays the same file."""
    if before and replace(entry, last_attempt_at=before.last_attempt_at) == before:
        return before
    return entry


def _put_in_store(path: Path, store: Path, track: Track) -> Path:
    final = track_file(store, track.track_uri, path.suffix.lower())
    make_folder(final.parent)
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
    return path.replace(final)


def _stored(store: Path, track: Track) -> Path | None:
    place = track_file(store, track.track_uri, "")
    return min(place.parent.glob(f"{glob.escape(place.name)}.*"), default=None)


def _ledger_path(path: Path, data_dir: Path) -> str:
    return str(path.relative_to(data_dir) if path.is_relative_to(data_dir) else path)


def _crashed(request: Request, source: AudioSource) -> Entry:
    attempts = (request.before.attempts if request.before else 0) + source.costs_requests
    return Entry(
        request.track.track_id,
        request.track.track_uri,
        "corrupt",
        source.name,
        attempts=attempts,
        last_attempt_at=now(),
        detail="the process that decoded it died",
    )


def _tracks_of(paths: DatasetPaths) -> list[Track]:
    names = ["track_id", "track_uri", "track_name", "artist_name"]
    rows = pl.read_parquet(paths.split_tracks, columns=["track_id"]).join(
        pl.read_parquet(paths.tracks, columns=names), on="track_id", how="left", validate="1:1"
    )
    return [Track(**row) for row in rows.with_columns(pl.col(pl.String).fill_null("")).iter_rows(named=True)]


def _shuffled(tracks: list[Track], dataset: str) -> list[Track]:
    """An order of the dataset's own, so that two datasets with the same tracks share the work."""
    return sorted(tracks, key=lambda track: hashlib.sha256(f"{dataset}:{track.track_uri}".encode()).digest())


def _report(frame: pl.DataFrame, num_looked_up: int) -> Report:
    failures = frame.filter(pl.col("status") != OK)
    got = frame.filter(pl.col("status") == OK)
    return Report(
        num_rows=len(frame),
        facts={
            "looked_up_now": num_looked_up,
            "hours_of_audio": round((got["duration_seconds"].sum() or 0) / 3600, 2),
            **{f"num_{status}": count for status, count in sorted(Counter(frame["status"]).items())},
            **{f"from_{source}": count for source, count in sorted(Counter(got["source"]).items())},
        },
        tables={
            f"without audio (first {MAX_ROWS_SHOWN})": [
                {"track_uri": row["track_uri"], "status": row["status"], "reason": row["detail"]}
                for row in failures.head(MAX_ROWS_SHOWN).iter_rows(named=True)
            ]
        }
        if len(failures)
        else {},
    )
