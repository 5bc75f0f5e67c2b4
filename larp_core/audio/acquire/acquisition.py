"""Getting the audio of every track of the split, once, and writing down what came of it.

A run goes through the tracks in passes: what may be had later (a rate limit, a broken line) is asked for again after a
wait that doubles each time, until it is got, final, or left to the next run.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from larp_core.audio.acquire.attempt import STORE, Request, crashed, is_unchanged, local_file, make_getter, mismatch
from larp_core.audio.acquire.configured import configured_sources
from larp_core.audio.acquire.ledger import OK, Entry, Ledger, is_retriable, lost
from larp_core.audio.acquire.paced import Paced
from larp_core.audio.acquire.pairs import BadRow
from larp_core.audio.acquire.sources import MAPPING_FILE, AudioSource, Outcome, Track
from larp_core.audio.coverage import coverage_by_split
from larp_core.config import AcquireConfig
from larp_core.config.paths import DatasetPaths
from larp_core.config.settings import Settings
from larp_core.runtime.files import make_folder
from larp_core.runtime.pacing import backoff_seconds
from larp_core.runtime.progress import progressing
from larp_core.runtime.report import Report
from larp_core.runtime.workers import Crashed, map_in_processes

INCOMING = ".incoming"
MAX_ROWS_SHOWN = 20
MAX_PASSES = 5
"""How often a run asks for one track. Refusals are no track's fault: the next run goes on with it."""

logger = logging.getLogger(__name__)


def acquire_audio(settings: Settings, dataset: str) -> Report:
    """Fills the ledger: one row for every track of the split.

    Tracks whose outcome is final are not asked for again; files in the store, put there by another dataset or by a run
    that was killed, cost no request. Two datasets that run at once go through their tracks in different orders.

    Rows of the user's tables that can't be used cost their own tracks alone, and are told.

    Raises:
        UserError: a folder, mapping or list of URLs can't be used at all, or the data folder can't be written.
    """
    paths = settings.paths(dataset)
    tracks = _tracks_of(paths)
    ledger = Ledger(paths.ledger)
    ledger.keep_only({track.track_uri: track.track_id for track in tracks})
    incoming = make_folder(settings.shared.audio) / INCOMING / dataset
    shutil.rmtree(incoming, ignore_errors=True)
    with contextlib.closing(ledger), configured_sources(settings, dataset, tracks) as sources:
        if bad_rows := [row for source in sources for row in source.bad_rows]:
            logger.warning("%d rows of your tables can't be used, the first: %s", len(bad_rows), bad_rows[0])
        requests = _unsettled(_shuffled(tracks, dataset), sources, ledger, settings)
        _get_all(requests, sources, ledger, incoming, settings, dataset)
    shutil.rmtree(incoming, ignore_errors=True)
    return _report(ledger.save(), paths, len(requests), bad_rows)


def _unsettled(
    tracks: list[Track], sources: Sequence[AudioSource], ledger: Ledger, settings: Settings
) -> list[Request]:
    """What there is to do, the user's own files first: they wait for nobody."""
    gone = lost(ledger.entries.values(), settings.data_dir)
    here: list[Request] = []
    elsewhere: list[Request] = []
    for track in tracks:
        before = ledger.entries.get(track.track_uri)
        own = local_file(track, sources)
        is_known = before is not None and before.track_uri not in gone
        if before is None or not is_known or not _is_settled(track, before, own, sources, settings):
            (elsewhere if own is None else here).append(Request(track, before, settings.audio_retry == "final"))
    return here + elsewhere


def _is_settled(
    track: Track, before: Entry, own: Path | None, sources: Sequence[AudioSource], settings: Settings
) -> bool:
    """True where no source can do better: the audio is there, or each has said its last word."""
    if before.status == OK and mismatch(before, track):
        return False
    is_same_file = own is not None and is_unchanged(before, own, settings.data_dir)
    if before.status == OK and before.source in ("folder", "own"):
        return is_same_file
    if before.status == OK:
        return own is None or sources[0].costs_requests  # else the user's own file goes first
    if own is not None and not is_same_file:
        return False
    if before.source not in {STORE, *(source.name for source in sources)}:
        return False
    return all(_has_said(source.question(track), source.name, before, settings) for source in sources)


def _has_said(question: str | Outcome, source: str, before: Entry, settings: Settings) -> bool:
    """True where a source would say again what the ledger has of it."""
    if isinstance(question, Outcome):
        return question.path is not None or before.status == "corrupt" or question.detail in before.detail
    said = before.said(source, question)
    return said is not None and not is_retriable(said, before.attempts) and settings.audio_retry != "final"


def _get_all(
    requests: list[Request],
    sources: Sequence[AudioSource],
    ledger: Ledger,
    incoming: Path,
    settings: Settings,
    dataset: str,
) -> None:
    """Passes over the requests, until nothing is left that this run could still get."""
    acquire, shared = settings.recipe.acquire, settings.shared
    arguments = (tuple(sources), settings.data_dir, shared.audio, incoming, acquire.duration_tolerance_seconds)
    notices = _Notices(sources)
    notices.show()
    for _ in range(MAX_PASSES):
        due, later = _due(requests, acquire)
        if not due and (due := _wait_for_the_rest(later, acquire)):
            later = [request for request in later if request not in due]
        if not due:
            return
        requests = later
        done = map_in_processes(make_getter, arguments, due, isolated=True)
        for request, found in progressing(done, len(due), "track", f"{dataset}/mp3"):
            entry = crashed(request, sources, str(found)) if isinstance(found, Crashed) else found
            ledger.record(entry)
            if entry.is_retriable:
                notices.show()
                requests.append(Request(request.track, entry))


def _due(requests: list[Request], acquire: AcquireConfig) -> tuple[list[Request], list[Request]]:
    now = time.time()
    due = [request for request in requests if _due_at(request, acquire) <= now]
    return due, [request for request in requests if _due_at(request, acquire) > now]


def _due_at(request: Request, acquire: AcquireConfig) -> float:
    """Epoch seconds. Refusals wait at their source's gate, and final outcomes for nothing."""
    before = request.before
    if before is None or before.last_attempt_at is None or before.status != "error" or request.asks_again:
        return 0.0
    wait = backoff_seconds(before.track_uri, before.attempts, acquire.backoff_seconds, acquire.max_backoff_seconds)
    return before.last_attempt_at.timestamp() + wait


def _wait_for_the_rest(later: list[Request], acquire: AcquireConfig) -> list[Request]:
    """Sleeps until those that are due soon can be asked for, and returns them; the others are left to the next run."""
    soon = [at for request in later if (at := _due_at(request, acquire)) - time.time() <= acquire.max_wait_seconds]
    if not soon:
        if later:
            logger.info("%d tracks may be had later; run this step again for them", len(later))
        return []
    seconds = max(soon) - time.time()
    logger.info("%d tracks failed and are tried again in %.0f s", len(soon), seconds)
    time.sleep(max(seconds, 0.0))
    return _due(later, acquire)[0]


class _Notices:
    """Tells of each pause once."""

    def __init__(self, sources: Sequence[AudioSource]) -> None:
        self._gates = [source.gate for source in sources if isinstance(source, Paced)]
        self._told: set[float] = set()

    def show(self) -> None:
        for gate in self._gates:
            if (notice := gate.notice) and gate.paused_until not in self._told:
                self._told.add(gate.paused_until)
                logger.warning("%s", notice)


def _tracks_of(paths: DatasetPaths) -> list[Track]:
    """What sources may look by: the dataset's names and lengths, and Spotify's where it was asked for missing ones."""
    names = ["track_id", "track_uri", "track_name", "artist_name", "duration_ms"]
    rows = pl.read_parquet(paths.metadata, columns=names).with_columns(pl.col(pl.String).fill_null(""))
    return [Track(**row) for row in rows.iter_rows(named=True)]


def _shuffled(tracks: list[Track], dataset: str) -> list[Track]:
    """An order of the dataset's own, so that two datasets with the same tracks share the work."""
    return sorted(tracks, key=lambda track: hashlib.sha256(f"{dataset}:{track.track_uri}".encode()).digest())


def _report(frame: pl.DataFrame, paths: DatasetPaths, num_looked_up: int, bad_rows: Sequence[BadRow]) -> Report:
    outcomes = dict(frame.select("track_id", "status").iter_rows())
    failures = frame.filter(pl.col("status") != OK)
    got = frame.filter(pl.col("status") == OK)
    tables: dict[str, list[dict[str, Any]]] = {"coverage": coverage_by_split(outcomes, paths, "with audio")}
    if len(failures):
        tables[f"without audio (first {MAX_ROWS_SHOWN})"] = [
            {"track_uri": row["track_uri"], "status": row["status"], "reason": row["detail"]}
            for row in failures.head(MAX_ROWS_SHOWN).iter_rows(named=True)
        ]
    if bad_rows:
        tables[f"rows of LARP_AUDIO_URLS or {MAPPING_FILE} that can't be used (first {MAX_ROWS_SHOWN})"] = [
            {"row": row.where, "track_uri": row.track_uri, "reason": row.reason} for row in bad_rows[:MAX_ROWS_SHOWN]
        ]
    return Report(
        num_rows=len(frame),
        facts={
            "looked_up_now": num_looked_up,
            "hours_of_audio": round((got["duration_seconds"].sum() or 0) / 3600, 2),
            **{f"num_{status}": count for status, count in sorted(Counter(frame["status"]).items())},
            **{f"from_{source}": count for source, count in sorted(Counter(got["source"]).items())},
            **({"num_unusable_rows": len(bad_rows)} if bad_rows else {}),
        },
        tables=tables,
    )
