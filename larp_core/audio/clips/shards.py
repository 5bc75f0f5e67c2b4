"""Shards of the cutting of clips: tracks that are cut together, and whose outcomes are one file.

A track's shard follows from its uri. The step cuts all shards, a machine or a terminal of its own may cut one of them
(`larp run clips --shard 3/16`), and a run that was killed has lost the shards under way alone: all leave
`clips.state/<number>-of-<count>.parquet`, which the step takes up and then removes. Any count goes with any other.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from larp_core.audio.clips.cutting import Clip
from larp_core.config.paths import DatasetPaths
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import flush_file, write_parquet
from larp_core.runtime.hashing import hash_ids

FORMAT_KEY = "clip_format"
TRACKS_PER_SHARD = 256

SCHEMA: dict[str, pl.DataType] = {
    "track_id": pl.Int32(),
    "clip_index": pl.Int32(),
    "start_seconds": pl.Float64(),
    "path": pl.String(),
    "sha256": pl.String(),
    "status": pl.String(),
    "detail": pl.String(),
    "source_sha256": pl.String(),
}
"""Of `clips.parquet`."""


@dataclass(frozen=True)
class Shard:
    """One of `count` shares of the tracks, numbered from 1."""

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise UserError(f"--shard {self}: there are shards 1 to {self.count}; count from 1")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def file_name(self) -> str:
        return f"{self.number}-of-{self.count}.parquet"


def shards_of(track_uris: list[str], count: int | None = None) -> list[Shard]:
    """Each track's shard; as many shards as keep them small where no `count` is given."""
    count = count or max(1, -(-len(track_uris) // TRACKS_PER_SHARD))
    shards = [Shard(number, count) for number in range(1, count + 1)]
    return [shards[index] for index in (hash_ids(track_uris, 0, "shard of clips") % np.uint64(count)).tolist()]


class ClipShards:
    """Outcomes on disk: of shards that have been cut, and of the last finished run.

    Args:
        clip_format: names everything but source and start that a clip depends on; other clips are not looked at.
    """

    def __init__(self, paths: DatasetPaths, clip_format: str) -> None:
        self.paths = paths
        self.clip_format = clip_format

    def write(self, shard: Shard, outcomes: dict[str, Clip]) -> None:
        """First the clips reach the disk, then the list that says so. `outcomes` is by the path of the clip's file."""
        for clip in outcomes.values():
            if clip.path is not None:
                flush_file(self.paths.root / clip.path)
        frame = frame_of(outcomes.values()).with_columns(target=pl.Series(list(outcomes), dtype=pl.String))
        write_parquet(frame, self.paths.clips_in_work / shard.file_name, metadata={FORMAT_KEY: self.clip_format})

    def finished_clips(self) -> dict[str, Clip]:
        """Clips of the last run by path, which follows from the track's uri: ids may have changed since."""
        clips = self.paths.clips
        if not clips.exists() or pl.read_parquet_metadata(clips).get(FORMAT_KEY) != self.clip_format:
            return {}
        rows = pl.read_parquet(clips).filter(pl.col("path").is_not_null())
        return {row["path"]: Clip(**row) for row in rows.iter_rows(named=True)}

    def outcomes(self, shard: Shard | None = None) -> dict[str, Clip]:
        """What shards have come to, by the path that the clip's file has or would have had; of one shard, or of all."""
        pattern = shard.file_name if shard else "*-of-*.parquet"
        outcomes: dict[str, Clip] = {}
        for file in sorted(self.paths.clips_in_work.glob(pattern), key=lambda file: file.stat().st_mtime_ns):
            if pl.read_parquet_metadata(file).get(FORMAT_KEY) == self.clip_format:
                rows = pl.read_parquet(file).iter_rows(named=True)
                outcomes |= {row.pop("target"): Clip(**row) for row in rows}
        return outcomes

    def remove(self) -> None:
        shutil.rmtree(self.paths.clips_in_work, ignore_errors=True)


def frame_of(clips: Iterable[Clip]) -> pl.DataFrame:
    rows = list(clips)
    return pl.DataFrame({name: [getattr(clip, name) for clip in rows] for name in SCHEMA}, schema=SCHEMA)
