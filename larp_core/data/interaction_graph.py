"""The interaction graph as one DuckDB file: R, the bipartite graph of playlists and tracks, and O, the track graph.

O is a view, since at full size it has billions of edges. Asked about one track, DuckDB pushes `track_a = ...` below the
view's GROUP BY and joins that track's few playlists with R, a single scan of two columns:

    SELECT track_b, num_playlists FROM co_occurrence WHERE track_a = ? ORDER BY num_playlists DESC LIMIT 20
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from larp_core.config.paths import DatasetPaths
from larp_core.runtime.files import atomic_path
from larp_core.runtime.report import Report

TABLES = ("playlists", "tracks", "interactions", "holdouts", "clips")
NUM_EXAMPLES = 10

# A valid or test playlist is its holdouts: it was cut, and a track cut from it may still be in another playlist.
CREATE = """
CREATE TABLE playlists AS
    SELECT p.playlist_id, p.source_id, p.name, p.num_tracks, s.split
    FROM read_parquet($playlists) p JOIN read_parquet($split_playlists) s USING (playlist_id) ORDER BY playlist_id;
CREATE TABLE tracks AS
    SELECT t.*, s.split
    FROM read_parquet($tracks) t JOIN read_parquet($split_tracks) s USING (track_id) ORDER BY track_id;
CREATE TABLE holdouts AS
    SELECT h.*, p.split
    FROM read_parquet($holdouts) h JOIN playlists p USING (playlist_id) ORDER BY playlist_id, track_id;
CREATE TABLE interactions AS
    SELECT i.playlist_id, i.track_id, i.position, i.played_at, p.split
    FROM read_parquet($interactions) i
    JOIN playlists p USING (playlist_id)
    JOIN tracks t ON t.track_id = i.track_id AND t.split = p.split
    WHERE p.split = 'train' OR (i.playlist_id, i.track_id) IN (SELECT (playlist_id, track_id) FROM holdouts)
    ORDER BY i.playlist_id, i.position, i.track_id;
CREATE TABLE clips AS
    SELECT c.*, t.split
    FROM read_parquet($clips) c JOIN tracks t USING (track_id) ORDER BY track_id, clip_index;
CREATE VIEW co_occurrence AS
    SELECT a.track_id AS track_a, b.track_id AS track_b, count(*)::INTEGER AS num_playlists
    FROM interactions a JOIN interactions b ON a.playlist_id = b.playlist_id AND a.track_id <> b.track_id
    GROUP BY ALL;
"""

TOP_PAIRS = """
SELECT a.track_name AS track, a.artist_name AS artist, b.track_name AS with_track, b.artist_name AS with_artist,
    num_playlists
FROM (
    SELECT x.track_id AS track_a, y.track_id AS track_b, count(*)::INTEGER AS num_playlists
    FROM interactions x JOIN interactions y ON x.playlist_id = y.playlist_id AND x.track_id < y.track_id
    WHERE x.track_id IN (SELECT track_id FROM popular) AND y.track_id IN (SELECT track_id FROM popular)
    GROUP BY ALL ORDER BY num_playlists DESC, track_a, track_b LIMIT ?
)
JOIN tracks a ON a.track_id = track_a JOIN tracks b ON b.track_id = track_b
ORDER BY num_playlists DESC, track_a, track_b
"""
POPULAR = """
CREATE TEMP TABLE popular AS
SELECT track_id FROM interactions GROUP BY track_id ORDER BY count(*) DESC, track_id LIMIT 500
"""
"""Frequent pairs are looked for among the most popular tracks: all pairs of a full dataset would take minutes."""

SOUND_BY_SPLIT = """
SELECT t.split, count(*) AS tracks, count(c.track_id) AS with_clip, round(count(c.track_id) / count(*), 4) AS share
FROM tracks t LEFT JOIN (SELECT DISTINCT track_id FROM clips WHERE path IS NOT NULL) c USING (track_id)
GROUP BY t.split ORDER BY tracks DESC, t.split
"""
"""Under the split policy `paper_lists` this is how many of the authors' tracks have audio."""


def build_graph(paths: DatasetPaths) -> Report:
    """Writes graph.duckdb beside its place and renames it, so that readers never meet a half-built file."""
    with atomic_path(paths.graph) as partial:
        try:
            return _build(paths, partial)
        finally:
            partial.with_name(f"{partial.name}.wal").unlink(missing_ok=True)


def _build(paths: DatasetPaths, target: Path) -> Report:
    sources = {
        name: str(getattr(paths, name))
        for name in ("playlists", "split_playlists", "tracks", "split_tracks", "holdouts", "interactions", "clips")
    }
    with duckdb.connect(str(target)) as connection:
        for statement in filter(str.strip, CREATE.split(";")):
            connection.execute(statement, {name: path for name, path in sources.items() if f"${name})" in statement})
        counts = {f"num_{table}": _rows(connection, f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in TABLES}
        by_split = _rows(
            connection,
            "SELECT split, count(DISTINCT playlist_id) AS playlists, count(DISTINCT track_id) AS tracks, "
            "count(*) AS interactions FROM interactions GROUP BY split ORDER BY interactions DESC, split",
        )
        sound = _rows(connection, SOUND_BY_SPLIT)
        connection.execute(POPULAR)
        pairs = _rows(connection, TOP_PAIRS, [NUM_EXAMPLES])
        # Closing does this too, but on a full disk that leaves half a graph without a word.
        connection.execute("CHECKPOINT")
    return Report(
        num_rows=counts["num_interactions"],
        facts=counts,
        tables={"edges by split": by_split, "sound by split": sound, "most frequent pairs": pairs},
    )


def _rows(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: list[Any] | None = None
) -> list[dict[str, Any]]:
    cursor = connection.execute(query, parameters or [])
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
