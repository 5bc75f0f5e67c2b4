"""VectorFile made elsewhere, read from a file of the user's: checked for coverage, width, numbers and sample rate.

A setting such as `LARP_MULE` names a file, or a folder with one for each dataset (`mpd.parquet`, `lfm.npy`):

- Parquet: `track_uri` (or `track_id`), `vector`: a list of floats, or one list for each slice. A null vector says that
  the track can't be encoded. The file's metadata may tell `sample_rate_hz`, of the audio that was heard.
- NumPy: `<name>.npy` [N, D] or [N, slices, D], with `<name>.csv` beside it: a header `track_uri`, then a line a row.

Slices are laid side by side, as LARP's published code does with MULE's five of 1728.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from larp_core.config.encoders import Encoder
from larp_core.config.paths import DatasetPaths
from larp_core.config.settings import VECTOR_SUFFIXES
from larp_core.encoders.embedded import Embedded, EncodingRequest, WeightsNotFound
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import hash_file

URI_PREFIX = "spotify:track:"


@dataclass(frozen=True)
class VectorFile:
    """A file's rows: `keys` are `track_uri`s or `track_id`s, by `key`; `vectors` float32 [N, D]; `present` bool [N]."""

    key: str
    keys: pl.Series
    vectors: np.ndarray
    present: np.ndarray


def embed_precomputed(request: EncodingRequest, track_ids: np.ndarray) -> Embedded:
    """The encoder's vectors from the file that its setting names.

    Raises:
        WeightsNotFound: no setting names one.
        UserError: a file that is refused; see `read_vectors` and `match_tracks`.
    """
    encoder, paths = request.encoder, request.paths
    if not request.weights:
        raise WeightsNotFound(encoder.missing)
    path = vectors_file(Path(request.weights), paths.dataset, encoder)
    return match_tracks(paths, encoder, read_vectors(path, encoder), path, track_ids)


def vectors_file(path: Path, dataset: str, encoder: Encoder) -> Path:
    """The dataset's file within a folder, or the file itself.

    Raises:
        WeightsNotFound: the folder has none for this dataset.
    """
    if not path.is_dir():
        return path
    names = [f"{dataset}{suffix}" for suffix in VECTOR_SUFFIXES]
    found = [path / name for name in names if (path / name).is_file()]
    if not found:
        raise WeightsNotFound(f"{encoder.missing} ({path} has no {' or '.join(names)})")
    return found[0]


def read_vectors(path: Path, encoder: Encoder) -> VectorFile:
    """A file's rows.

    Raises:
        UserError: naming file, column and remedy: unreadable; a column missing or of another type; a track twice; a
            width or sample rate that isn't the encoder's; NaN or infinity.
    """
    found = _read_npy(path) if path.suffix == ".npy" else _read_parquet(path, encoder)
    if found.keys.is_duplicated().any():
        twice = found.keys.filter(found.keys.is_duplicated())[0]
        raise UserError(f"{path}: {found.key} {twice} stands twice; keep one row a track")
    width = found.vectors.shape[1]
    if encoder.dimensions and width not in encoder.dimensions and found.present.any():
        wanted = " or ".join(str(dimension) for dimension in encoder.dimensions)
        raise UserError(
            f"{path}: column vector holds {width} numbers a track, {encoder.title} gives {wanted}: make them anew"
        )
    finite = np.isfinite(found.vectors).all(axis=1) | ~found.present
    if not finite.all():
        first = found.keys.to_list()[int(np.flatnonzero(~finite)[0])]
        raise UserError(
            f"{path}: {int((~finite).sum())} vectors hold NaN or infinity, such as that of {found.key} {first}; make "
            "them again, or give those tracks a null vector"
        )
    return found


def match_tracks(
    paths: DatasetPaths, encoder: Encoder, found: VectorFile, path: Path, track_ids: np.ndarray
) -> Embedded:
    """The rows of the tracks asked for; every track that has a clip here must be among them, if only with a null.

    Raises:
        UserError: tracks that the file lacks.
    """
    tracks = pl.DataFrame({"track_id": track_ids}, schema={"track_id": pl.Int32})
    if found.key == "track_uri":
        names = pl.read_parquet(paths.tracks, columns=["track_id", "track_uri"])
        tracks = tracks.join(names, on="track_id", how="left", maintain_order="left")
    rows = pl.DataFrame({found.key: found.keys, "row": np.arange(len(found.keys))})
    tracks = tracks.join(rows, on=found.key, how="left", maintain_order="left")
    heard = pl.read_parquet(paths.mel_rows)["track_id"]
    lacking = tracks.filter(pl.col("row").is_null() & pl.col("track_id").is_in(heard.implode()))
    if lacking.height or tracks["row"].null_count() == tracks.height:
        lacking = lacking if lacking.height else tracks
        some = ", ".join(str(key) for key in lacking[found.key].head(3))
        raise UserError(
            f"{path}: column {found.key} lacks {lacking.height} of {paths.dataset}'s {tracks.height} tracks, such as "
            f"{some}; add them, with a null vector where {encoder.title} can't encode one"
        )
    tracks = tracks.drop_nulls("row")
    row = tracks["row"].to_numpy()
    ids, present = tracks["track_id"].to_numpy(), found.present[row]
    return Embedded(
        track_ids=ids[present],
        vectors=found.vectors[row[present]],
        weights_sha256="",
        pretrained=True,
        given_up=ids[~present],
        notes={"vectors_file": path.name, "vectors_sha256": hash_file(path)},
    )


def _read_npy(path: Path) -> VectorFile:
    names = path.with_suffix(".csv")
    if not names.is_file():
        raise UserError(
            f"{path}: {names.name} is not beside it; write a header track_uri and a line for each row there"
        )
    try:
        vectors = np.load(path, allow_pickle=False)
        keys = pl.read_csv(names, schema_overrides={"track_uri": pl.String})
    except (ValueError, EOFError, OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path}: can't be read ({_first_line(error)}); save it again with numpy.save") from None
    if "track_uri" not in keys.columns:
        raise UserError(f"{names}: has no column track_uri; write it as the header")
    if vectors.ndim not in (2, 3) or vectors.dtype.kind != "f" or len(vectors) != keys.height:
        raise UserError(
            f"{path}: holds {vectors.dtype} {list(vectors.shape)} where {names.name} has {keys.height} rows; it must "
            f"be floats [{keys.height}, D] or [{keys.height}, slices, D]"
        )
    flat = vectors.reshape(len(vectors), int(np.prod(vectors.shape[1:]))).astype(np.float32)
    return VectorFile("track_uri", _bare(keys["track_uri"]), flat, np.ones(len(flat), dtype=bool))


def _read_parquet(path: Path, encoder: Encoder) -> VectorFile:
    try:
        frame, metadata = pl.read_parquet(path), pl.read_parquet_metadata(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path}: can't be read as Parquet ({_first_line(error)}); write it again") from None
    rate = metadata.get("sample_rate_hz")
    if rate and encoder.sample_rate_hz and rate != str(encoder.sample_rate_hz):
        raise UserError(
            f"{path}: its metadata says sample_rate_hz {rate}, {encoder.title} needs {encoder.sample_rate_hz}; "
            "resample the audio and make the vectors again"
        )
    key = next((name for name in ("track_uri", "track_id") if name in frame.columns), None)
    if key is None or "vector" not in frame.columns:
        raise UserError(f"{path}: has columns {', '.join(frame.columns)}; it needs track_uri (or track_id) and vector")
    present = frame["vector"].is_not_null()
    keys = _bare(frame[key].cast(pl.String)) if key == "track_uri" else frame[key].cast(pl.Int32)
    flat = _flat(path, frame["vector"].drop_nulls())
    vectors = np.zeros((frame.height, flat.shape[1]), np.float32)
    vectors[present.to_numpy()] = flat
    return VectorFile(key, keys, vectors, present.to_numpy())


def _flat(path: Path, vectors: pl.Series) -> np.ndarray:
    """Float32 [N, D] of lists of numbers, or of lists of as many slices; a null number becomes NaN."""
    width, values = 1, vectors
    while isinstance(values.dtype, pl.List | pl.Array):
        values = values.arr.to_list() if isinstance(values.dtype, pl.Array) else values
        lengths = values.list.len().unique()
        if len(lengths) > 1 or lengths.null_count() or 0 in lengths:
            raise UserError(
                f"{path}: column vector holds vectors of different lengths, or empty ones; all must have one"
            )
        width *= int(lengths[0]) if len(lengths) else 0
        values = values.explode()
    if values.dtype == vectors.dtype or not values.dtype.is_numeric():
        raise UserError(f"{path}: column vector is {vectors.dtype}; it must be a list of floats")
    return values.cast(pl.Float32).to_numpy().reshape(len(vectors), width)


def _bare(uris: pl.Series) -> pl.Series:
    return uris.str.strip_prefix(URI_PREFIX)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
