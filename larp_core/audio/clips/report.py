"""What a person sees of the clips: how much of each split has one, why others have none, pictures, clips to play."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from larp_core.audio.acquire.ledger import OK
from larp_core.audio.clips.player import write_player
from larp_core.audio.coverage import coverage_by_split
from larp_core.audio.decode import read_clip
from larp_core.audio.pictures import save_histogram, save_spectrograms, spectrogram_db
from larp_core.config.paths import DatasetPaths
from larp_core.runtime.report import Report

MAX_ROWS_SHOWN = 20
NUM_PICTURED = 6


def report_of(frame: pl.DataFrame, ledger: pl.DataFrame, paths: DatasetPaths, facts: dict[str, Any]) -> Report:
    """The report of `clips.parquet`, beside the ledger's rows that it was cut from."""
    good = frame.filter(pl.col("status") == OK)
    noted = frame.filter((pl.col("status") != OK) | (pl.col("detail") != "")).head(MAX_ROWS_SHOWN)
    shown = good.gather_every(max(1, len(good) // NUM_PICTURED)).head(NUM_PICTURED)
    named = ledger.filter(pl.col("track_id").is_in([*shown["track_id"], *noted["track_id"]]))
    uri_of = dict(named.select("track_id", "track_uri").iter_rows())
    tables = {
        "coverage": _coverage(frame, ledger, paths),
        f"without a clip, or with a flaw (first {MAX_ROWS_SHOWN})": [
            {"track_uri": uri_of[row["track_id"]], "status": row["status"], "reason": row["detail"]}
            for row in noted.iter_rows(named=True)
        ],
        "clips to play": [
            {"track_uri": uri_of[row["track_id"]], "file": str(paths.root / row["path"])}
            for row in shown.iter_rows(named=True)
        ],
    }
    return Report(
        num_rows=len(good),
        facts={
            **facts,
            "num_flagged": good.filter(pl.col("detail") != "").height,
            **{f"num_{status}": count for status, count in sorted(Counter(frame["status"]).items())},
        },
        tables={title: rows for title, rows in tables.items() if rows},
        pictures=_spectrograms(shown, uri_of, paths) | _durations(ledger, paths),
        notebooks=_player(shown, uri_of, paths),
    )


def first_good(frame: pl.DataFrame) -> pl.DataFrame:
    """A row a track: its first `ok` clip, or else the first that says why there is none."""
    return frame.sort(pl.col("status") != OK, maintain_order=True).unique("track_id", keep="first", maintain_order=True)


def _coverage(frame: pl.DataFrame, ledger: pl.DataFrame, paths: DatasetPaths) -> list[dict[str, Any]]:
    outcomes: dict[int, str] = {}
    for rows in (ledger, first_good(frame)):
        outcomes |= rows.select("track_id", "status").iter_rows()
    return coverage_by_split(outcomes, paths, "with a clip")


def _spectrograms(shown: pl.DataFrame, uri_of: dict[int, str], paths: DatasetPaths) -> dict[str, str]:
    if shown.is_empty():
        return {}
    spectrograms = {
        f"{uri_of[row['track_id']]}, from {row['start_seconds']:.1f} s": spectrogram_db(
            read_clip(paths.root / row["path"])
        )
        for row in shown.iter_rows(named=True)
    }
    extent = (0.0, 10.0, 0.0, 24_000.0)
    return {
        "spectrograms": str(save_spectrograms(spectrograms, paths.pictures / "clips.png", "frequency in Hz", extent))
    }


def _player(shown: pl.DataFrame, uri_of: dict[int, str], paths: DatasetPaths) -> dict[str, str]:
    if shown.is_empty():
        return {}
    clips = {
        f"{uri_of[row['track_id']]}, from {row['start_seconds']:.1f} s": paths.root / row["path"]
        for row in shown.iter_rows(named=True)
    }
    return {"listen": str(write_player(clips, paths.pictures / "clips.ipynb"))}


def _durations(ledger: pl.DataFrame, paths: DatasetPaths) -> dict[str, str]:
    seconds = ledger.filter(pl.col("duration_seconds") > 0)["duration_seconds"].to_numpy()
    if not len(seconds):
        return {}
    picture = save_histogram(seconds, paths.pictures / "durations.png", "seconds of sound", "tracks")
    return {"durations of the audio": str(picture)}
