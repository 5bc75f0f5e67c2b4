"""Names of tracks, artists and albums for every track of the split, and where they came from."""

from __future__ import annotations

import polars as pl

from larp_core.files import write_parquet
from larp_core.steps import Job, Report

NUM_EXAMPLES = 10
SOURCE_NAMES = {"mpd": "MPD slices", "lfm": "LFM-2b files", "own": "tags and playlists"}


def build_metadata(job: Job) -> Report:
    """Writes `metadata.parquet`: the columns of tracks.parquet and `source`, null where the dataset names nothing."""
    split = pl.read_parquet(job.paths.split_tracks, columns=["track_id"])
    tracks = pl.read_parquet(job.paths.tracks).join(split, on="track_id", how="semi").sort("track_id")
    named = pl.any_horizontal(pl.col("track_name", "artist_name", "album_name").is_not_null())
    metadata = tracks.with_columns(source=pl.when(named).then(pl.lit(SOURCE_NAMES[job.dataset])))
    write_parquet(metadata, job.paths.metadata)
    missing = metadata.null_count().to_dicts()[0]
    facts = {f"missing_{name}": count for name, count in missing.items() if name not in ("track_id", "track_uri")}
    examples = metadata.head(NUM_EXAMPLES).select("track_uri", "track_name", "artist_name", "album_name", "duration_ms")
    return Report(num_rows=metadata.height, facts=facts, tables={"metadata": examples.to_dicts()})
