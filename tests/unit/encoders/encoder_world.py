"""Eight tracks as an encoder finds them: split, captions, mels; the last two are test, one is silent, one unnamed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from training_world import RECIPE

from larp_core.config.recipes import Recipe
from larp_core.config.settings import Settings
from larp_core.runtime.files import write_parquet

NUM_TRACKS, SILENT, UNNAMED = 8, 2, 5
HEARD = [n for n in range(NUM_TRACKS) if n != SILENT]


def write_tracks(data_dir: Path, recipe: Recipe = RECIPE, **settings: Any) -> Settings:
    """The dataset `mpd`: track `n` has the uri `urin`; track 2 has no clip, track 5 no caption."""
    found = Settings(data_dir, recipe, ("mpd",), **settings)
    paths = found.paths("mpd")
    ids = pl.Series("track_id", range(NUM_TRACKS), dtype=pl.Int32)
    write_parquet(pl.DataFrame([ids, pl.Series("split", ["train"] * 6 + ["test"] * 2)]), paths.split_tracks)
    write_parquet(pl.DataFrame([ids, pl.Series("track_uri", [uri(n) for n in range(NUM_TRACKS)])]), paths.tracks)
    captions = pl.DataFrame({"track_id": ids, "caption": [f"The track river {n} by stone" for n in range(NUM_TRACKS)]})
    write_parquet(captions.filter(pl.col("track_id") != UNNAMED), paths.captions)
    with_clip = ids.filter(ids != SILENT)
    write_parquet(pl.DataFrame({"track_id": with_clip, "row": range(len(with_clip))}), paths.mel_rows)
    np.save(paths.mels, np.random.default_rng(0).normal(size=(len(with_clip), 1001, 64)).astype(np.float16))
    return found


def uri(track: int) -> str:
    return f"{track:022d}"
