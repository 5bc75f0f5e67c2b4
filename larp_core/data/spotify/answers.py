"""What Spotify has said of each track, kept for good, so that no track is asked for twice: `spotify/answers.sqlite`.

Each answer is on disk before the next call is made: a run that is killed loses the call in flight. Of a body only what
metadata has a column for is kept.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from larp_core.runtime.sqlite import open_database, telling

FOUND, NOT_FOUND, ERROR = "ok", "not_found", "error"
"""Statuses, named as the ledger's are."""

MAX_ATTEMPTS_ON_ERROR = 5
MAX_NAMES_IN_A_QUERY = 500
REMEDY = "free some space, or delete the file, which makes Spotify be asked anew"

SCHEMA = """
CREATE TABLE IF NOT EXISTS tracks
    (track_uri TEXT PRIMARY KEY, status TEXT NOT NULL, fields TEXT, attempts INTEGER NOT NULL, asked_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS apps (app TEXT PRIMARY KEY, batches_refused_at TEXT NOT NULL);
"""


class SpotifyAnswers:
    """The store, opened for as long as a step needs it. Datasets that run at once share it.

    Raises:
        UserError: the file can't be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with telling(path, REMEDY):
            self._database = open_database(path, SCHEMA)

    def __enter__(self) -> SpotifyAnswers:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def settled(self, track_uris: Sequence[str]) -> set[str]:
        """Those that need no call: found, not there, or given up after as many errors as are worth it."""
        known: set[str] = set()
        for some in _parts(track_uris):
            query = (
                f"SELECT track_uri FROM tracks WHERE track_uri IN ({_marks(some)}) AND (status != ? OR attempts >= ?)"
            )
            with telling(self.path, REMEDY):
                known.update(uri for (uri,) in self._database.execute(query, (*some, ERROR, MAX_ATTEMPTS_ON_ERROR)))
        return known

    def fields(self, track_uris: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What is known of those that were found: column of `tracks.parquet` to value, None where it was empty."""
        found: dict[str, dict[str, Any]] = {}
        for some in _parts(track_uris):
            query = f"SELECT track_uri, fields FROM tracks WHERE status = ? AND track_uri IN ({_marks(some)})"
            with telling(self.path, REMEDY):
                found |= {uri: json.loads(fields) for uri, fields in self._database.execute(query, (FOUND, *some))}
        return found

    def counts(self) -> dict[str, int]:
        """Number of tracks by status."""
        with telling(self.path, REMEDY):
            return dict(self._database.execute("SELECT status, count(*) FROM tracks GROUP BY status"))

    def record(self, bodies: Mapping[str, dict[str, Any] | None]) -> None:
        """Keeps the bodies of one call by track uri; None is "there is no such track"."""
        rows = [
            (uri, NOT_FOUND if body is None else FOUND, None if body is None else json.dumps(fields_of(body)))
            for uri, body in bodies.items()
        ]
        self._write(
            "INSERT OR REPLACE INTO tracks SELECT ?1, ?2, ?3, 1 + coalesce("
            "(SELECT attempts FROM tracks WHERE track_uri = ?1), 0), ?4",
            [(*row, _now()) for row in rows],
        )

    def record_error(self, track_uri: str) -> None:
        """Counts a call that came to nothing for a reason that may lie in the track."""
        self._write(
            "INSERT INTO tracks VALUES (?, ?, NULL, 1, ?) ON CONFLICT (track_uri) DO UPDATE "
            "SET attempts = attempts + 1, asked_at = excluded.asked_at WHERE status = excluded.status",
            [(track_uri, ERROR, _now())],
        )

    def refuses_batches(self, app: str) -> bool:
        with telling(self.path, REMEDY):
            return bool(self._database.execute("SELECT 1 FROM apps WHERE app = ?", (app,)).fetchone())

    def remember_refused_batches(self, app: str) -> None:
        self._write("INSERT OR IGNORE INTO apps VALUES (?, ?)", [(app, _now())])

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """One caller at a time: from looking what is known to keeping the answer. Freed when its process dies."""
        with FileLock(self.path.with_suffix(".lock")):
            yield

    def _write(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        with telling(self.path, REMEDY), self._database:
            self._database.executemany(statement, rows)


def _parts(track_uris: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(track_uris), MAX_NAMES_IN_A_QUERY):
        yield track_uris[start : start + MAX_NAMES_IN_A_QUERY]


def _marks(some: Sequence[str]) -> str:
    return ",".join("?" * len(some))


def fields_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of `tracks.parquet` in a track of the Web API; None for what it lacks, leaves empty or garbles.

    The artist is the first one named, as in MPD. Bodies of older and newer versions of the API differ elsewhere only.
    """
    artists = body.get("artists")
    first = artists[0] if isinstance(artists, list) and artists else None
    return {
        "track_name": _text(body, "name"),
        "artist_uri": _text(first, "uri"),
        "artist_name": _text(first, "name"),
        "album_uri": _text(body.get("album"), "uri"),
        "album_name": _text(body.get("album"), "name"),
        "duration_ms": _milliseconds(body.get("duration_ms")),
    }


def _text(mapping: Any, name: str) -> str | None:
    value = mapping.get(name) if isinstance(mapping, dict) else None
    if not isinstance(value, str) or not value.strip():
        return None
    return value.encode("utf-8", "replace").decode()  # JSON can hold halves of characters, which are no text


def _milliseconds(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else None


def _now() -> str:
    return datetime.now(UTC).isoformat()
