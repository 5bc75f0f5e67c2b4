"""The tracks that the paper's authors published for validation and test: readers of those lists.

A folder holds `<dataset>_valid` and `<dataset>_test`, each `.parquet` or `.csv`, with the columns `track_uri` (bare or
`spotify:track:...`), `start` and `end` (seconds of the clip in the whole track); others are passed over. The lists name
no playlists and no train tracks.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from larp_core.runtime.errors import UserError

LISTED_SPLITS = ("valid", "test")
FORMATS = (".parquet", ".csv")
COLUMNS = {"track_uri": pl.String, "start": pl.Float64, "end": pl.Float64}


def load_paper_lists(folder: Path, dataset: str) -> pl.DataFrame:
    """`track_uri, start_seconds, end_seconds, split`: each track once, in the lists' order.

    A track listed several times keeps its first clip, one listed for both validation and test is a test track.

    Raises:
        UserError: a list is absent, can't be read, lacks a column, or holds no track.
    """
    lists = [_read(_find(folder, f"{dataset}_{split}"), split) for split in reversed(LISTED_SPLITS)]
    return pl.concat(lists).unique("track_uri", keep="first", maintain_order=True)


def list_files(folder: Path, dataset: str) -> list[Path]:
    """The files that `load_paper_lists` reads. Raises UserError where one is absent."""
    return [_find(folder, f"{dataset}_{split}") for split in LISTED_SPLITS]


def coverage(lists: pl.DataFrame, track_uris: pl.Series, split_tracks: pl.DataFrame) -> list[dict[str, object]]:
    """How much of each list there is: tracks listed, present in the dataset, and members of a held-out playlist.

    Args:
        lists: as `load_paper_lists` gives them.
        track_uris: all tracks of the dataset.
        split_tracks: `track_uri` of the tracks that stand in a kept valid or test playlist.
    """
    rows: list[dict[str, object]] = []
    for split in LISTED_SPLITS:
        listed = lists.filter(pl.col("split") == split)["track_uri"]
        num_present = int(listed.is_in(track_uris.implode()).sum())
        num_played = int(listed.is_in(split_tracks["track_uri"].implode()).sum())
        rows.append(
            {
                "split": split,
                "listed": len(listed),
                "present": num_present,
                "present_share": round(num_present / len(listed), 4),
                "in_kept_playlists": num_played,
            }
        )
    return rows


def _find(folder: Path, stem: str) -> Path:
    for path in (folder / f"{stem}{suffix}" for suffix in FORMATS):
        if path.exists():
            return path
    raise UserError(f"LARP_PAPER_LISTS_DIR: {folder} holds no {stem}.parquet or {stem}.csv; put the list there")


def _read(path: Path, split: str) -> pl.DataFrame:
    try:
        # As text first: a column that doesn't look like numbers at its start must not decide for its end.
        frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema=False)
        if missing := [name for name in COLUMNS if name not in frame.columns]:
            raise UserError(f"{path}: lacks the column '{missing[0]}'; needed are {', '.join(COLUMNS)}")
        frame = frame.select(pl.col(name).cast(dtype) for name, dtype in COLUMNS.items()).drop_nulls()
    except (PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: can't be read as a list of tracks ({reason}); bring the file again") from None
    if frame.is_empty():
        raise UserError(f"{path}: names no track; bring the file with its rows")
    uri = pl.col("track_uri").str.strip_chars().str.strip_prefix("spotify:track:")
    return frame.select(uri, start_seconds="start", end_seconds="end", split=pl.lit(split))
