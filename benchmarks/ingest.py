"""MPD slices to Parquet tables: how long beside the standard library's JSON parsing alone, and in how much memory.

    python benchmarks/ingest.py                    slices of $LARP_MPD_DIR, or of the demo world where it is not set
    python benchmarks/ingest.py FOLDER --slices 200
    python benchmarks/ingest.py FOLDER --merge     also merges 66 M entries of 2.26 M tracks, the real dataset's size

Copies the folder's playlists into slices of 1,000, the real size, until there are as many as asked for: 200 take 7 GB
of disk. Each playlist has a `pid` of its own, and a share of the tracks uris of their own, so that distinct tracks grow
as they do in the real dataset. Then measures, each in a fresh process: `json.loads` of every file; the steps `source`
and `playlists`; the split and the graph, by the recipe `paper`; the first two with one more slice. On a machine with
other work the seconds favour the single process: the processors' time stands beside them. Prints `figure: measured
(required bound)`, exits 1 where a bound does not hold.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tqdm import tqdm

from larp_core.audio.clips.shards import SCHEMA as CLIPS_SCHEMA

MAX_RATIO = 1.5
MAX_RATIO_WITH_GRAPH = 2.0
MAX_GIB = 4.0
OWN_TRACK_PERCENT = 4
"""Of the tracks of a copied slice: at 1,000 slices there are as many distinct ones as in the real dataset."""

NUM_PARTS, NUM_PLAYLISTS, NUM_ENTRIES, NUM_TRACKS = 1_000, 1_000, 66_000, 2_262_000
"""The merge: parts, and for each its playlists and entries; tracks of all."""

SAMPLE_SECONDS = 0.02

Figures = list[tuple[str, float, float | None]]

PARSE_ALONE = """
import json, pathlib, sys
for path in pathlib.Path(sys.argv[1]).iterdir():
    json.loads(path.read_bytes())
"""

SPLIT_AND_GRAPH = """
import pathlib, sys
from larp_core.config.recipes import recipe_named
from larp_core.config.settings import Settings
from larp_core.graph.job import Job
from larp_core.graph.registry import job_named, step_named

data, slices = map(pathlib.Path, sys.argv[1:])
settings = Settings(data, recipe_named("paper"), ("mpd",), mpd_dir=slices)
for name in ("cold_start_split", "interaction_graph"):
    job_named(name, settings, "mpd").work()
"""

MERGE_ALONE = """
import pathlib, sys
import polars as pl
from larp_core.data.readers.chunk import Chunk
from larp_core.data.merge import merge_chunks
from larp_core.data.readers.rejects import Rejects
from larp_core.data.tables import write_tables
from larp_core.config.paths import DatasetPaths

folder = pathlib.Path(sys.argv[1])
played_at = pl.lit(None, pl.Datetime("us")).alias("played_at")
chunks = [
    Chunk(pl.read_parquet(part / "playlists.parquet"), pl.scan_parquet(part / "tracks.parquet"),
          pl.scan_parquet(part / "interactions.parquet").with_columns(played_at), part.name)
    for part in sorted(folder.glob("part_*"))
]
write_tables(merge_chunks(chunks, None, Rejects()), DatasetPaths(folder, "mpd"))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=os.environ.get("LARP_MPD_DIR"))
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--playlists", type=int, default=1_000, help="in a slice")
    parser.add_argument("--merge", action="store_true", help="also merge parts of the real dataset's size")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        folder = Path(options.folder) if options.folder else _demo_slices(work)
        figures = _measure(folder, work, options.slices, options.playlists)
        if options.merge:
            figures += _measure_merge(work / "merge")
    for text, value, bound in figures:
        print(f"{text}: {value:.2f} ({f'at most {bound}' if bound else 'no bound'})")
    return int(any(bound and value > bound for _, value, bound in figures))


def _measure(folder: Path, work: Path, num_slices: int, num_playlists: int) -> Figures:
    slices, data = work / "slices", work / "data"
    last = _copy_slices(folder, slices, num_slices + 1, num_playlists)
    last = last.rename(work / last.name)
    options = ["--dataset", "mpd", "--recipe", "paper", "--data-dir", str(data), "--mpd-dir", str(slices)]
    ingest = [sys.executable, "-m", "larp_core", "run", "source", "playlists", *options]
    parsing = _timed([sys.executable, "-c", PARSE_ALONE, str(slices)])
    first = _timed(ingest)
    pl.DataFrame(schema=CLIPS_SCHEMA).write_parquet(data / "mpd" / "clips.parquet")
    graph = _timed([sys.executable, "-c", SPLIT_AND_GRAPH, str(data), str(slices)])
    last.rename(slices / last.name)
    second = _timed(ingest)
    return [
        (f"{num_slices} slices, MB", sum(path.stat().st_size for path in slices.iterdir()) / 1e6, None),
        ("json.loads alone, one process, seconds", parsing.seconds, None),
        ("slices to Parquet, seconds", first.seconds, None),
        ("slices to Parquet / json.loads alone", first.seconds / parsing.seconds, MAX_RATIO),
        ("slices to Parquet / json.loads alone, processor time", first.cpu_seconds / parsing.cpu_seconds, None),
        (
            "with split and graph / json.loads alone",
            (first.seconds + graph.seconds) / parsing.seconds,
            MAX_RATIO_WITH_GRAPH,
        ),
        ("slices to Parquet, peak memory of all processes, GiB", first.gib, MAX_GIB),
        ("split and graph, peak memory, GiB", graph.gib, MAX_GIB),
        ("one slice added / json.loads alone of all", second.seconds / parsing.seconds, None),
    ]


def _copy_slices(folder: Path, target: Path, num_slices: int, num_playlists: int) -> Path:
    """Writes the copies; returns the last one."""
    target.mkdir(parents=True)
    contents = [path.read_bytes() for path in sorted(folder.glob("mpd.slice.*.json"))]
    if not contents:
        sys.exit(f"{folder} holds no mpd.slice.*.json; name a folder that does")
    source = itertools.cycle(playlist for content in contents for playlist in json.loads(content)["playlists"])
    path = target
    for index in tqdm(range(num_slices), desc="copying slices", unit="file"):
        playlists = [_copied(next(source), index * num_playlists + number, index) for number in range(num_playlists)]
        path = target / f"mpd.slice.{index * 1000}-{index * 1000 + 999}.json"
        path.write_text(json.dumps({"info": {}, "playlists": playlists}, indent=4), encoding="utf-8")
    return path


def _copied(playlist: dict[str, Any], pid: int, index: int) -> dict[str, Any]:
    tracks = [track | {"track_uri": _copied_uri(track["track_uri"], index)} for track in playlist["tracks"]]
    return playlist | {"pid": pid, "tracks": tracks}


def _copied_uri(uri: str, index: int) -> str:
    is_own = zlib.crc32(uri.encode()) % 100 < OWN_TRACK_PERCENT
    return f"{uri[:-4]}{index:04d}" if is_own else uri


def _demo_slices(work: Path) -> Path:
    subprocess.run([sys.executable, "-m", "larp_core", "run", "demo_world", "--data-dir", str(work)], check=True)
    return work / "demo_world" / "mpd"


def _measure_merge(folder: Path) -> Figures:
    _write_parts(folder)
    usage = _timed([sys.executable, "-c", MERGE_ALONE, str(folder)])
    return [
        (f"merge of {NUM_PARTS * NUM_ENTRIES / 1e6:.0f} M entries, seconds", usage.seconds, None),
        (f"merge of {NUM_PARTS * NUM_ENTRIES / 1e6:.0f} M entries, processor seconds", usage.cpu_seconds, None),
        (f"merge of {NUM_PARTS * NUM_ENTRIES / 1e6:.0f} M entries, peak memory, GiB", usage.gib, MAX_GIB),
    ]


def _write_parts(folder: Path) -> None:
    """Parts as the reader leaves them, with tracks drawn so that few are frequent and most are rare."""
    generator = np.random.default_rng(1)
    owners = pl.Series("playlist_row", np.arange(NUM_ENTRIES) % NUM_PLAYLISTS, dtype=pl.Int32)
    for number in tqdm(range(NUM_PARTS), desc="writing parts", unit="part"):
        part = folder / f"part_{number:04d}"
        part.mkdir(parents=True)
        # Log-uniform ranks, and each part has some tracks that no other has, so that all tracks come up.
        ranks = (NUM_TRACKS ** generator.random(NUM_ENTRIES)).astype(np.int64)
        own = NUM_TRACKS // NUM_PARTS
        ranks[:own] = np.arange(number * own, (number + 1) * own)
        tracks, rows = np.unique(ranks, return_inverse=True)
        keys = pl.Series(tracks).cast(pl.String).str.zfill(22)
        text = {name: pl.concat_str(pl.lit(f"{name} "), pl.lit(keys)) for name in ("track_name", "artist_name")}
        text |= {name: pl.lit(keys) for name in ("artist_uri", "album_uri")}
        frame = pl.select(
            track_uri=pl.lit(keys),
            track_name=text["track_name"],
            artist_uri=text["artist_uri"],
            artist_name=text["artist_name"],
            album_uri=text["album_uri"],
            album_name=pl.concat_str(pl.lit("album "), pl.lit(keys)),
            duration_ms=pl.lit(200_000, pl.Int32),
        )
        frame.write_parquet(part / "tracks.parquet")
        ids = [f"{number * NUM_PLAYLISTS + playlist}" for playlist in range(NUM_PLAYLISTS)]
        pl.DataFrame({"source_id": ids, "name": ids}).write_parquet(part / "playlists.parquet")
        position = pl.Series("position", np.arange(NUM_ENTRIES) // NUM_PLAYLISTS, dtype=pl.Int32)
        track_row = pl.Series("track_row", rows, dtype=pl.Int32)
        pl.DataFrame([owners, track_row, position]).write_parquet(part / "interactions.parquet")


@dataclass(frozen=True)
class Usage:
    """Of a process and its children together: `cpu_seconds` of all cores, peak resident memory."""

    seconds: float
    cpu_seconds: float
    gib: float


def _timed(command: list[str]) -> Usage:
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak, ended = [0.0], threading.Event()
    sampler = threading.Thread(target=_sample_memory, args=(process.pid, peak, ended))
    sampler.start()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    ended.set()
    sampler.join()
    if status:
        sys.exit(f"{' '.join(command[:6])} ... ended with status {process.returncode}")
    return Usage(seconds, usage.ru_utime + usage.ru_stime, peak[0])


def _sample_memory(pid: int, peak: list[float], ended: threading.Event) -> None:
    while not ended.wait(SAMPLE_SECONDS):
        peak[0] = max(peak[0], sum(_resident_bytes(member) for member in _family(pid)) / 2**30)


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    except OSError:  # it has just ended
        return
    for child in children.split():
        yield from _family(int(child))


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


if __name__ == "__main__":
    sys.exit(main())
