"""How fast LFM-2b's listening events are read, and in how much memory: figures against the standard library's bz2.

    python benchmarks/ingest_lfm.py            events of $LARP_LFM_DIR, or of the demo world where it is not set
    python benchmarks/ingest_lfm.py FOLDER     events of a folder of LFM-2b files

The file is repeated with later times, so that its users and tracks stay the same while it grows. Each rate is the best
of several rounds, in each of which both are measured one after the other: other work on the machine disturbs the
parallel reader more than the single thread that it is compared with. The least processor time of each is printed too,
which other work disturbs less. The first round also compiles the reader of lines, a second that a long file forgets.
Prints `figure: measured (required bound)` and exits 1 where a bound does not hold.
"""

from __future__ import annotations

import argparse
import bz2
import datetime
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import polars as pl

from larp_core.config import IngestConfig, WorldConfig
from larp_core.data.readers import lfm_events
from larp_core.data.readers.lfm_events import EVENT_COLUMNS, TIME_FORMAT, read_plays
from larp_core.data.readers.rejects import Rejects
from larp_core.data.readers.tsv import stream_tsv

COPIES = (40, 160)
ROUNDS = 4
RATE_BOUND = 1.8
MEMORY_BOUND = 1.2
NUM_EVENTS = 60_000
GAIN_BOUND = 1.1
BY_FRAMES = "all users, by frames alone"
CONFIGS = {"all users": IngestConfig(), "half of the users": IngestConfig(lfm_user_fraction=0.5)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=os.environ.get("LARP_LFM_DIR"),
        help="with listening-events.tsv.bz2, of which only the first rows are used",
    )
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        lfm_events.SHORTCUT_FROM_BYTES = 0  # both files by the same way
        read_plays(args.child, IngestConfig())
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        events = _events(args.folder or _demo_world(Path(folder)))
        files = {copies: _repeat(events, copies, Path(folder)) for copies in COPIES}
        print(f"{events.height * COPIES[-1]:,} events, {os.cpu_count()} cores")
        return 0 if _rates(files[COPIES[-1]]) & _memory(files) else 1


def _demo_world(folder: Path) -> Path:
    from larp_core.demo.catalogue import make_catalogue
    from larp_core.demo.formats import write_lfm2b
    from larp_core.demo.playlists import make_listeners

    config = WorldConfig(num_listeners=400)
    catalogue = make_catalogue(config)
    write_lfm2b(catalogue, make_listeners(config, catalogue), folder / "world", config.seed)
    return folder / "world"


def _events(folder: Path) -> pl.DataFrame:
    path = next(iter(sorted(folder.glob("listening?events.tsv*"))))
    _, frame = next(stream_tsv(path, EVENT_COLUMNS, Rejects(), 8 << 20))
    return frame.head(NUM_EVENTS).with_columns(pl.col("timestamp").str.to_datetime(TIME_FORMAT))


def _repeat(events: pl.DataFrame, copies: int, folder: Path) -> Path:
    """The events again and again, each time a day and a second later."""
    path = folder / f"listening-events-{copies}.tsv.bz2"
    with bz2.open(path, "wb") as packed:
        for copy in range(copies):
            later = pl.col("timestamp") + datetime.timedelta(days=copy, seconds=copy)
            shifted = events.with_columns(later.dt.strftime(TIME_FORMAT).alias("timestamp"))
            packed.write(shifted.write_csv(separator="\t", include_header=copy == 0, quote_style="never").encode())
    return path


def _rates(path: Path) -> bool:
    works = {"bz2": lambda: _unpack(path)}
    works |= {name: lambda config=config: read_plays(path, config) for name, config in CONFIGS.items()}  # type: ignore[misc]
    works[BY_FRAMES] = lambda: _read_by_frames(path)
    rounds = [{name: _seconds(work) for name, work in works.items()} for _ in range(ROUNDS)]
    wall, processor = ({name: min(seconds[name][kind] for seconds in rounds) for name in works} for kind in (0, 1))
    for name in works:
        print(f"{name}: {wall[name]:.2f} s, {processor[name]:.2f} s of processor time")
    ratios = {name: wall["bz2"] / wall[name] for name in CONFIGS}
    for name, ratio in ratios.items():
        print(f"rate of reading {name} / rate of bz2 alone: {ratio:.2f} (at least {RATE_BOUND})")
    gain = wall[BY_FRAMES] / wall["all users"]
    print(
        "rate of the compiled reader of lines (lfm_quick) / of the frames that it spares: "
        f"{gain:.2f} (at least {GAIN_BOUND})"
    )
    return min(ratios.values()) >= RATE_BOUND and gain >= GAIN_BOUND


def _read_by_frames(path: Path) -> None:
    with patch.object(lfm_events, "SHORTCUT_FROM_BYTES", 2**62):
        read_plays(path, CONFIGS["all users"])


def _memory(files: dict[int, Path]) -> bool:
    """Peak memory of a process that reads a file of the same users and tracks, by the file's length."""
    peaks = {}
    for copies, path in files.items():
        command = [sys.executable, __file__, "--child", str(path)]
        peaks[copies] = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"peak memory for {copies} times the events: {peaks[copies]:.0f} MiB")
    ratio = peaks[COPIES[-1]] / peaks[COPIES[-2]]
    longer = COPIES[-1] // COPIES[-2]
    print(f"peak memory of a file {longer} times as long / of the shorter one: {ratio:.2f} (at most {MEMORY_BOUND})")
    return ratio <= MEMORY_BOUND


def _unpack(path: Path) -> None:
    with bz2.open(path) as handle:
        while handle.read(1 << 20):
            pass


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    """By the clock, and of processor time of all threads."""
    started = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started[0], time.process_time() - started[1]


if __name__ == "__main__":
    sys.exit(main())
