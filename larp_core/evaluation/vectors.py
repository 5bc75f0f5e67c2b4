"""Embeddings as the benchmark takes them: vectors of tracks, `embeddings/<encoder>.parquet`, and of playlists that an
encoder has made itself, `embeddings/<encoder>_playlists.parquet`. A file that isn't what it says is refused.

No torch here: scores are computed in the DAG's own step processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from larp_core.config.encoders import CATALOGUE, Encoder
from larp_core.config.paths import DatasetPaths
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import hash_file

MISSING = "missing"
"""Footer key of embeddings and scores without rows: why the encoder could not be run."""

WEIGHTS_FILE = "model.safetensors"
NAMED = 3
"""How many tracks an error names."""


def load_vectors(path: Path, column: str = "vector", id_column: str = "track_id") -> tuple[np.ndarray, np.ndarray]:
    """Track ids int32 [M] and their vectors float32 [M, D], without the tracks whose vector is null.

    `column` is a list or an array of floats. D is 0 where no track has a vector.

    Raises:
        ValueError: vectors of different lengths, or a track that stands twice.
    """
    frame = pl.read_parquet(path, columns=[id_column, column]).drop_nulls(column)
    if frame[id_column].is_duplicated().any():
        raise ValueError(f"{path}: a {id_column} stands twice")
    track_ids = frame[id_column].cast(pl.Int32).to_numpy()
    if frame.is_empty():
        return track_ids, np.empty((0, 0), np.float32)
    vectors = frame[column]
    if isinstance(vectors.dtype, pl.Array):
        return track_ids, vectors.cast(pl.Array(pl.Float32, vectors.dtype.size)).to_numpy()
    lengths = vectors.list.len().unique()
    if len(lengths) > 1:
        raise ValueError(f"{path}: column {column} holds vectors of different lengths")
    return track_ids, vectors.cast(pl.List(pl.Float32)).list.to_array(int(lengths[0])).to_numpy()


@dataclass(frozen=True)
class PlaylistVectors:
    """One vector a held-out playlist, made of its seeds.

    Attributes:
        playlist_ids: int32 [P], ascending.
        vectors: float [P, D].
    """

    playlist_ids: np.ndarray
    vectors: np.ndarray

    def of(self, playlist_ids: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
        """Unit vectors [N, D] of some playlists; `otherwise` [N, D] where there is none, or one without a length."""
        lengths = np.linalg.norm(self.vectors, axis=1)
        known = lengths > 0
        ids, unit = self.playlist_ids[known], self.vectors[known] / lengths[known, None]
        if not len(ids):
            return otherwise
        places = np.searchsorted(ids, playlist_ids).clip(max=len(ids) - 1)
        return np.where((ids[places] == playlist_ids)[:, None], unit[places], otherwise)


def load_playlist_vectors(path: Path) -> PlaylistVectors:
    frame = pl.read_parquet(path).sort("playlist_id")
    vectors = frame["vector"].cast(pl.List(pl.Float32)).to_list()
    return PlaylistVectors(frame["playlist_id"].to_numpy(), np.array(vectors, np.float64).reshape(len(frame), -1))


def checked_footer(paths: DatasetPaths, encoder: str) -> dict[str, str]:
    """The footer of `embeddings/<encoder>.parquet`, once the file has been found to be what it says.

    A file whose footer says that its weights are `missing` has no rows and nothing else to check.

    Raises:
        UserError: naming file, column and remedy: not readable; a column missing; a track twice or of no split; a
            vector of another width, or with NaN; tracks lacking that the encoder can hear or read; other weights than
            those in `models/<encoder>/`.
    """
    path, facts = paths.embeddings(encoder), CATALOGUE[encoder]
    remedy = f"run embeddings/{encoder} again (delete the file first)"
    try:
        footer, columns = pl.read_parquet_metadata(path), pl.read_parquet_schema(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path}: can't be read as Parquet ({str(error).splitlines()[0][:120]}): {remedy}") from None
    if absent := [name for name in ("track_id", "vector") if name not in columns]:
        raise UserError(f"{path}: has no column {absent[0]}: {remedy}")
    if MISSING in footer:
        return footer
    frame = pl.read_parquet(path, columns=["track_id", "vector"])
    _check_tracks(path, paths, facts, frame["track_id"], remedy)
    _check_vectors(path, facts, footer, frame.drop_nulls("vector"), remedy)
    _check_weights(path, paths.model(encoder) / WEIGHTS_FILE, facts, footer, remedy)
    return footer


def _check_tracks(path: Path, paths: DatasetPaths, encoder: Encoder, track_ids: pl.Series, remedy: str) -> None:
    def refuse(problem: str, some: pl.Series) -> None:
        if len(some):
            names = ", ".join(str(name) for name in some.unique().sort().head(NAMED))
            raise UserError(f"{path}: column track_id {problem.format(len(some))}, such as {names}: {remedy}")

    split = pl.read_parquet(paths.split_tracks)["track_id"]
    seen = [pl.read_parquet(file)["track_id"] for file in _sources(paths, encoder)]
    expected = pl.concat([track_ids.clear(), *seen]).unique()
    refuse("holds {} rows of tracks that stand twice", track_ids.filter(track_ids.is_duplicated()))
    refuse("holds {} tracks that are in no split", track_ids.filter(~track_ids.is_in(split.implode())))
    lacking = expected.filter(expected.is_in(split.implode()) & ~expected.is_in(track_ids.implode()))
    refuse(f"lacks {{}} tracks that {encoder.title} can encode", lacking)


def _sources(paths: DatasetPaths, encoder: Encoder) -> list[Path]:
    """The files whose tracks the encoder must cover."""
    files = [paths.mel_rows] * encoder.hears + [paths.captions] * encoder.reads
    return [file for file in files if file.exists()]


def _check_vectors(path: Path, encoder: Encoder, footer: dict[str, str], frame: pl.DataFrame, remedy: str) -> None:
    if frame.is_empty():
        return
    vectors = frame["vector"]
    widths = [vectors.dtype.size] if isinstance(vectors.dtype, pl.Array) else vectors.list.len().unique().to_list()
    allowed = {int(footer["dimension"])} if footer.get("dimension") else set(encoder.dimensions) or set(widths[:1])
    if set(widths) - allowed or (encoder.dimensions and not allowed <= set(encoder.dimensions)):
        wanted = " or ".join(str(width) for width in encoder.dimensions or sorted(allowed))
        raise UserError(f"{path}: column vector holds vectors of {sorted(widths)} numbers, not of {wanted}: {remedy}")
    numbers = vectors.explode().to_numpy().reshape(len(vectors), widths[0])
    bad = frame["track_id"].filter(pl.Series(~np.isfinite(numbers).all(axis=1)))
    if len(bad):
        names = ", ".join(str(name) for name in bad.head(NAMED))
        raise UserError(f"{path}: column vector holds NaN or infinity for {len(bad)} tracks, such as {names}: {remedy}")


def _check_weights(path: Path, weights: Path, encoder: Encoder, footer: dict[str, str], remedy: str) -> None:
    """Of an encoder trained here, whose weights lie beside; they may have been trained again since."""
    if encoder.stage is None or not weights.exists():
        return
    said, found = footer.get("weights_sha256", ""), hash_file(weights)
    if said != found:
        raise UserError(
            f"{path}: its footer's weights_sha256 is {said[:12] or 'absent'}, {weights} has {found[:12]}: the vectors "
            f"were made from other weights: {remedy}"
        )
