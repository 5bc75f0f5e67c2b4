"""A finished dataset for notebooks and other programs: its tables, vectors and scores, read from the data folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from larp_core.config.paths import DatasetPaths
from larp_core.runtime.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl


class FinishedDataset:
    """What a run has left of one dataset.

    Args:
        data_dir: the data folder, `LARP_DATA`.
        dataset: its name, such as `mpd`.

    Raises:
        UserError: the data folder has no such dataset.
    """

    def __init__(self, data_dir: str | Path, dataset: str) -> None:
        self.paths = DatasetPaths(Path(data_dir).expanduser().resolve(), dataset)
        if not self.paths.tracks.exists():
            found = sorted(path.parent.name for path in self.paths.data_dir.glob("*/tracks.parquet"))
            there = f"it has {', '.join(found)}" if found else "run `dagster job execute -j train_all` first"
            raise UserError(f"{self.paths.data_dir} has no dataset '{dataset}'; {there}")

    @property
    def tracks(self) -> pl.DataFrame:
        """`track_id`, `track_uri`, names, lengths, and `split` (null where a track takes no part)."""
        import polars as pl

        split = pl.read_parquet(self.paths.split_tracks)
        return pl.read_parquet(self.paths.tracks).join(split, on="track_id", how="left", maintain_order="left")

    @property
    def playlists(self) -> pl.DataFrame:
        """`playlist_id`, `source_id`, `name`, `num_tracks`, and `split` (null where a playlist takes no part)."""
        import polars as pl

        split = pl.read_parquet(self.paths.split_playlists)
        return pl.read_parquet(self.paths.playlists).join(split, on="playlist_id", how="left", maintain_order="left")

    def vectors(self, encoder: str) -> tuple[np.ndarray, np.ndarray]:
        """`track_ids` int32 [N], ascending, and their vectors float32 [N, D] by an encoder, such as `larp_tpc`.

        Raises:
            UserError: the encoder has not been run, or its file is not what it says.
        """
        from larp_core.evaluation.vectors import load_vectors

        path = self.paths.embeddings(encoder)
        if not path.exists():
            found = sorted(file.stem for file in path.parent.glob("*.parquet"))
            raise UserError(f"{path} is not there; this dataset has vectors of {', '.join(found) or 'no encoder'}")
        return load_vectors(path)

    def scores(self, encoder: str) -> pl.DataFrame:
        """`recommender, metric, k, value, ci_low, ci_high` on the test playlists; `metadata` and `hybrid` too.

        Raises:
            UserError: there are no scores of that name.
        """
        import polars as pl

        path = self.paths.scores(encoder)
        if not path.exists():
            todo = f"larp run scores/{encoder} --dataset {self.paths.dataset}"
            raise UserError(f"{path} is not there; run `{todo}` first")
        return pl.read_parquet(path)
