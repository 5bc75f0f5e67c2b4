"""The raw files as three Parquet tables: playlists, tracks, interactions, with small integer ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.parquet

from larp_core.config import IngestConfig
from larp_core.config.datasets import DATASETS
from larp_core.config.paths import DatasetPaths
from larp_core.data.merge import Known, Merged, interaction_blocks, merge_chunks, track_blocks
from larp_core.data.readers.chunk import TRACK_SCHEMA, Schema
from larp_core.data.readers.parts import PartStore
from larp_core.data.readers.rejects import Rejects
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import atomic_path, hash_of, write_parquet
from larp_core.runtime.report import Report

NUM_EXAMPLES = 10
INTERACTION_TABLE: Schema = {
    "playlist_id": pl.Int32,
    "track_id": pl.Int32,
    "position": pl.Int32,
    "played_at": pl.Datetime("us"),
}
TRACK_TABLE: Schema = {"track_id": pl.Int32, **TRACK_SCHEMA}


def build_tables(folder: Path, paths: DatasetPaths, config: IngestConfig) -> Report:
    """Reads the raw files that are new, merges them with what is known of the others, and writes the three tables.

    What the tables leave out stands in `rejects.parquet`.

    Args:
        folder: that of the raw files, or their zip.

    Raises:
        UserError: a file that is needed can't be read, nothing usable is in any of them, or the disk is full.
    """
    store = PartStore(paths.parts, hash_of({"ingest": asdict(config)}))
    before, known, rejects = store.digests(), _known_ids(paths), Rejects()
    chunks = list(DATASETS[paths.dataset].reader_module.read_chunks(folder, store, rejects, config))
    if not any(chunk.playlists.height for chunk in chunks):
        _refuse(folder, paths, rejects)
    merged = merge_chunks(chunks, known, rejects)
    num_before = _num_rows(paths.interactions) if known else 0
    sizes = write_tables(merged, paths)
    write_parquet(rejects.frame(), paths.rejects)
    facts = {
        "num_playlists": len(sizes),
        "num_tracks": merged.num_tracks,
        "num_interactions": int(sizes.sum()),
        "mean_tracks_per_playlist": round(float(sizes.mean()), 2),
        "num_rejected_rows": rejects.num_rows(),
        **_file_facts(before, store.digests()),
        **_added_facts(merged, known, int(sizes.sum()) - num_before),
    }
    return _report(facts, paths, rejects)


def _known_ids(paths: DatasetPaths) -> Known | None:
    """The ids that the last run gave, if there was one."""
    if not (paths.playlists.exists() and paths.tracks.exists() and paths.interactions.exists()):
        return None
    return Known(
        pl.scan_parquet(paths.playlists).select("source_id", "playlist_id").collect(),
        pl.scan_parquet(paths.tracks).select("track_uri", "track_id").collect(),
    )


def _refuse(folder: Path, paths: DatasetPaths, rejects: Rejects) -> None:
    write_parquet(rejects.frame(), paths.rejects)
    rows = rejects.frame().head(NUM_EXAMPLES).iter_rows(named=True)
    reasons = "; ".join(f"{row['file']}: {row['num_rows']} {row['reason']}" for row in rows)
    raise UserError(
        f"{folder}: no playlist with a usable track ({reasons or 'the files hold none'}); "
        f"check the files, which {paths.rejects} lists"
    )


def write_tables(merged: Merged, paths: DatasetPaths) -> npt.NDArray[np.int32]:
    """Writes the three tables; returns the number of tracks of each playlist."""
    sizes = np.zeros(merged.playlists.height, dtype=np.int32)

    def counted(blocks: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        for block in blocks:
            np.add(
                sizes, np.bincount(block["playlist_id"].to_numpy(), minlength=len(sizes)), out=sizes, casting="unsafe"
            )
            yield block

    _write_blocks(counted(interaction_blocks(merged)), INTERACTION_TABLE, paths.interactions)
    _write_blocks(track_blocks(merged), TRACK_TABLE, paths.tracks)
    write_parquet(merged.playlists.with_columns(num_tracks=pl.Series(sizes)), paths.playlists)
    return sizes


def _write_blocks(blocks: Iterable[pl.DataFrame], schema: Schema, path: Path) -> None:
    arrow_schema = pl.DataFrame(schema=schema).to_arrow().schema
    with (
        atomic_path(path) as partial,
        pyarrow.parquet.ParquetWriter(partial, arrow_schema, compression="zstd") as writer,
    ):
        for block in blocks:
            writer.write_table(block.to_arrow())


def _num_rows(path: Path) -> int:
    return int(pl.scan_parquet(path).select(pl.len()).collect().item())


def _file_facts(before: dict[str, str], after: dict[str, str]) -> dict[str, int]:
    if not after:  # a reader that keeps no parts
        return {}
    num_reused = sum(before.get(name) == digest for name, digest in after.items())
    return {"files_read": len(after) - num_reused, "files_reused": num_reused}


def _added_facts(merged: Merged, known: Known | None, num_interactions: int) -> dict[str, Any]:
    if any(merged.forgotten):
        playlists, tracks = merged.forgotten
        return {"ids": f"counted from 0 again, since {playlists} playlists and {tracks} tracks are there no more"}
    return {
        "playlists_added": merged.playlists.height - (known.playlists.height if known else 0),
        "tracks_added": merged.num_tracks - (known.tracks.height if known else 0),
        "interactions_added": num_interactions,
    }


def _top_reasons(rejects: Rejects) -> list[dict[str, Any]]:
    by_reason = rejects.frame().group_by("reason").agg(pl.col("num_rows").sum(), num_files=pl.len())
    return by_reason.sort("num_rows", "reason", descending=[True, False]).head(NUM_EXAMPLES).to_dicts()


def _report(facts: dict[str, Any], paths: DatasetPaths, rejects: Rejects) -> Report:
    first = pl.scan_parquet(paths.interactions).head(NUM_EXAMPLES).filter(pl.col("playlist_id") == 0)
    example = first.join(pl.scan_parquet(paths.tracks), on="track_id", maintain_order="left").collect()
    playlists = pl.scan_parquet(paths.playlists).head(NUM_EXAMPLES).collect()
    return Report(
        num_rows=facts["num_interactions"],
        facts=facts,
        tables={
            "playlists": playlists.to_dicts(),
            "first playlist": example.select("position", "track_name", "artist_name", "album_name").to_dicts(),
            "left out": _top_reasons(rejects),
        },
    )
