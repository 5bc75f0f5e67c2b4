"""How much of each split has what it needs, and how the rest ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import polars as pl

from larp_core.audio.acquire.ledger import OK
from larp_core.config.paths import DatasetPaths


def coverage_by_split(outcomes: Mapping[int, str], paths: DatasetPaths, wanted: str) -> list[dict[str, Any]]:
    """A row for each split: its tracks, the number and share that have what is `wanted`, the others by outcome.

    Args:
        outcomes: a status of the ledger's `STATUSES` by track id; `error` stands for a track that has none.
    """
    sides: dict[str, Counter[str]] = {}
    for track_id, split in pl.read_parquet(paths.split_tracks, columns=["track_id", "split"]).iter_rows():
        sides.setdefault(split, Counter())[outcomes.get(track_id, "error")] += 1
    kinds = sorted({kind for counts in sides.values() for kind in counts} - {OK})
    return [
        {
            "split": split,
            "tracks": counts.total(),
            wanted: counts[OK],
            "share": counts[OK] / counts.total(),
            **{kind: counts[kind] for kind in kinds},
        }
        for split, counts in sorted(sides.items())
    ]
