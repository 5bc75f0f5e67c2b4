"""VectorFile made elsewhere: MULE and Jukebox in their true shapes, and every file that is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from encoder_world import HEARD, NUM_TRACKS, uri, write_tracks
from hypothesis import given
from hypothesis import strategies as st

from larp_core.config.encoders import CATALOGUE
from larp_core.encoders.precomputed import read_vectors
from larp_core.evaluation.vectors import checked_footer
from larp_core.graph.job import Job
from larp_core.graph.registry import job_named
from larp_core.runtime.errors import UserError

MULE, JUKEBOX = CATALOGUE["mule"], CATALOGUE["jukebox"]
EVERY = list(range(NUM_TRACKS))


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


def write_vectors(path: Path, vectors: Any, tracks: list[int] = EVERY, **metadata: str) -> Path:
    uris = [f"spotify:track:{uri(n)}" for n in tracks]
    if path.suffix == ".npy":
        np.save(path, vectors)
        pl.DataFrame({"track_uri": uris}).write_csv(path.with_suffix(".csv"))
    else:
        rows = [None if vector is None else np.asarray(vector).tolist() for vector in vectors]
        pl.DataFrame({"track_uri": uris, "vector": rows}).write_parquet(path, metadata=metadata)
    return path


def embed(data_dir: Path, encoder: str, **settings: str) -> tuple[pl.DataFrame, dict[str, str], Job]:
    job = job_named(f"embeddings/{encoder}", write_tracks(data_dir, **settings), "mpd")
    job.work()
    path = job.paths.embeddings(encoder)
    return pl.read_parquet(path), pl.read_parquet_metadata(path), job


@pytest.mark.parametrize("suffix", [".parquet", ".npy"])
@pytest.mark.parametrize(
    ("encoder", "shape", "width"),
    [("mule", (1728,), 1728), ("mule", (5, 1728), 8640), ("mule", (8640,), 8640), ("jukebox", (4800,), 4800)],
)
def test_true_shapes_come_through(
    tmp_path: Path, encoder: str, shape: tuple[int, ...], width: int, suffix: str
) -> None:
    vectors = numbers(NUM_TRACKS, *shape)
    order = [3, 0, 1, 2, 7, 6, 5, 4]
    file = write_vectors(tmp_path / f"made{suffix}", vectors, order)
    frame, footer, job = embed(tmp_path / "data", encoder, **{encoder: str(file)})
    assert frame["track_id"].to_list() == EVERY
    side_by_side = [np.concatenate(list(np.atleast_2d(vectors[order.index(n)]))) for n in EVERY]
    np.testing.assert_array_equal(np.stack(frame["vector"].to_list()), np.stack(side_by_side))
    assert footer["dimension"] == str(width) and footer["vectors_file"] == file.name
    assert footer["sample_rate_hz"] == ("16000" if encoder == "mule" else "44100")
    assert checked_footer(job.paths, encoder) == footer


def test_a_folder_has_a_file_for_each_dataset(tmp_path: Path) -> None:
    write_vectors(tmp_path / "mpd.parquet", numbers(NUM_TRACKS, 4800))
    frame, _, _ = embed(tmp_path / "data", "jukebox", jukebox=str(tmp_path))
    assert frame.height == NUM_TRACKS
    (tmp_path / "mpd.parquet").rename(tmp_path / "lfm.parquet")
    frame, footer, _ = embed(tmp_path / "data", "jukebox", jukebox=str(tmp_path))
    assert frame.is_empty() and "mpd.parquet or mpd.npy" in footer["missing"]


@pytest.mark.parametrize("encoder", ["mule", "jukebox"])
def test_nothing_named_is_a_file_without_rows_that_says_what_to_set(tmp_path: Path, encoder: str) -> None:
    frame, footer, job = embed(tmp_path, encoder)
    assert frame.is_empty() and frame.schema == {"track_id": pl.Int32, "vector": pl.List(pl.Float32)}
    variable = f"LARP_{encoder.upper()}"
    assert footer["missing"] == f"weights not found: set {variable} or {variable}_COMMAND"
    assert checked_footer(job.paths, encoder) == footer


def test_a_null_vector_says_that_a_track_cannot_be_encoded(tmp_path: Path) -> None:
    vectors: list[Any] = list(numbers(NUM_TRACKS, 4800))
    vectors[HEARD[0]] = None
    file = write_vectors(tmp_path / "made.parquet", vectors)
    frame, _, job = embed(tmp_path / "data", "jukebox", jukebox=str(file))
    assert frame.filter(pl.col("vector").is_null())["track_id"].to_list() == [HEARD[0]]
    assert checked_footer(job.paths, "jukebox")["dimension"] == "4800"


def test_tracks_with_a_clip_must_all_be_there_and_others_need_not(tmp_path: Path) -> None:
    file = write_vectors(tmp_path / "made.npy", numbers(len(HEARD), 4800), HEARD)
    frame, _, _ = embed(tmp_path / "data", "jukebox", jukebox=str(file))
    assert frame["track_id"].to_list() == HEARD
    file = write_vectors(tmp_path / "made.npy", numbers(len(HEARD) - 2, 4800), HEARD[2:])
    with pytest.raises(
        UserError, match=rf"made.npy: column track_uri lacks 2 of mpd's 8 tracks, .*{uri(HEARD[0])}.*null"
    ):
        embed(tmp_path / "data", "jukebox", jukebox=str(file))


def _nan(vectors: np.ndarray) -> np.ndarray:
    vectors[3, 5] = np.nan
    return vectors


@pytest.mark.parametrize(
    ("vectors", "tracks", "metadata", "message"),
    [
        (numbers(8, 1727), EVERY, {}, "column vector holds 1727 numbers a track, MULE gives 1728 or 8640"),
        (numbers(8, 4, 1728), EVERY, {}, "6912 numbers a track"),
        (_nan(numbers(8, 1728)), EVERY, {}, f"1 vectors hold NaN or infinity, such as that of track_uri {uri(3)}"),
        (numbers(8, 1728), [*EVERY[:7], 0], {}, f"track_uri {uri(0)} stands twice"),
        (numbers(8, 1728), EVERY, {"sample_rate_hz": "44100"}, "sample_rate_hz 44100, MULE needs 16000; resample"),
        ([[1.0], [1.0, 2.0]], [0, 1], {}, "different lengths"),
        ([[[1.0]], [[1.0], [2.0]]], [0, 1], {}, "different lengths"),
        ([["a"], ["b"]], [0, 1], {}, "must be a list of floats"),
        ([1.0, 2.0], [0, 1], {}, "must be a list of floats"),
    ],
)
def test_refused_parquet(
    tmp_path: Path, vectors: Any, tracks: list[int], metadata: dict[str, str], message: str
) -> None:
    file = write_vectors(tmp_path / "made.parquet", vectors, tracks, **metadata)
    with pytest.raises(UserError, match=message) as error:
        read_vectors(file, MULE)
    assert str(file) in str(error.value)


def test_a_rate_that_fits_is_taken(tmp_path: Path) -> None:
    file = write_vectors(tmp_path / "made.parquet", numbers(8, 1728), sample_rate_hz="16000")
    assert read_vectors(file, MULE).vectors.shape == (8, 1728)


def test_refused_files_that_are_not_what_their_name_says(tmp_path: Path) -> None:
    for name in ("made.parquet", "made.npy"):
        (tmp_path / name).write_bytes(b"not that")
    pl.DataFrame({"track_uri": [uri(0)]}).write_csv(tmp_path / "made.csv")
    with pytest.raises(UserError, match="can't be read as Parquet"):
        read_vectors(tmp_path / "made.parquet", MULE)
    with pytest.raises(UserError, match="can't be read"):
        read_vectors(tmp_path / "made.npy", MULE)
    pl.DataFrame({"uri": [uri(0)], "vector": [[1.0]]}).write_parquet(tmp_path / "made.parquet")
    with pytest.raises(UserError, match="needs track_uri"):
        read_vectors(tmp_path / "made.parquet", MULE)


def test_refused_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "alone.npy", numbers(2, 1728))
    with pytest.raises(UserError, match=r"alone.csv is not beside it"):
        read_vectors(tmp_path / "alone.npy", MULE)
    with pytest.raises(UserError, match=r"holds float32 \[2, 1728\] where made.csv has 3 rows"):
        read_vectors(write_vectors(tmp_path / "made.npy", numbers(2, 1728), [0, 1, 2]), MULE)
    with pytest.raises(UserError, match="int64"):
        read_vectors(write_vectors(tmp_path / "made.npy", np.ones((2, 1728), np.int64), [0, 1]), MULE)
    np.save(tmp_path / "pickled.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    pl.DataFrame({"track_uri": [uri(0)]}).write_csv(tmp_path / "pickled.csv")
    with pytest.raises(UserError, match="can't be read"):
        read_vectors(tmp_path / "pickled.npy", MULE)


@given(slices=st.integers(1, 3), width=st.integers(1, 4), num=st.integers(1, 6), seed=st.integers(0, 99))
def test_reader_equals_numpys_own_reshape(
    tmp_path_factory: pytest.TempPathFactory, slices: int, width: int, num: int, seed: int
) -> None:
    free = CATALOGUE["clap_ft"]  # no fixed dimension
    vectors = np.random.default_rng(seed).normal(size=(num, slices, width)).astype(np.float32)
    for suffix in (".npy", ".parquet"):
        file = write_vectors(tmp_path_factory.mktemp("any") / f"made{suffix}", vectors, list(range(num)))
        np.testing.assert_array_equal(read_vectors(file, free).vectors, vectors.reshape(num, -1))
