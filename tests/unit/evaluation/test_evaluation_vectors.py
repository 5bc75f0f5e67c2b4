"""Embedding files that are not what they say are refused, with the file, the column and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from larp_core.config.paths import DatasetPaths
from larp_core.evaluation.vectors import MISSING, checked_footer
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import hash_file, make_folder, write_parquet

ENCODER, WIDTH = "larp_wtc", 6
NUM_TRACKS, SILENT = 8, 2
HEARD = [n for n in range(NUM_TRACKS) if n != SILENT]


@pytest.fixture
def paths(tmp_path: Path) -> DatasetPaths:
    """The dataset's tracks: all have a caption, one has no sound."""
    paths = DatasetPaths(tmp_path, "mpd")
    ids = pl.Series("track_id", range(NUM_TRACKS), dtype=pl.Int32)
    write_parquet(pl.DataFrame([ids]), paths.split_tracks)
    write_parquet(pl.DataFrame([ids]), paths.captions)
    write_parquet(pl.DataFrame([ids.filter(ids != SILENT)]), paths.mel_rows)
    (make_folder(paths.model(ENCODER)) / "model.safetensors").write_bytes(b"weights")
    return paths


def good(paths: DatasetPaths) -> pl.DataFrame:
    vectors = np.random.default_rng(0).normal(size=(NUM_TRACKS, WIDTH)).tolist()
    return pl.DataFrame({"track_id": range(NUM_TRACKS), "vector": vectors}, schema_overrides={"track_id": pl.Int32})


def footer_of(paths: DatasetPaths) -> dict[str, str]:
    weights = paths.model(ENCODER) / "model.safetensors"
    return {"dimension": str(WIDTH), "weights_sha256": hash_file(weights), "pretrained": "true"}


def test_a_good_file_passes_and_gives_its_footer(paths: DatasetPaths) -> None:
    write_parquet(good(paths), paths.embeddings(ENCODER), footer_of(paths))
    assert checked_footer(paths, ENCODER).items() >= footer_of(paths).items()


def test_a_null_vector_is_no_lack(paths: DatasetPaths) -> None:
    frame = good(paths).with_columns(pl.when(pl.col("track_id") != 1).then("vector"))
    write_parquet(frame, paths.embeddings(ENCODER), footer_of(paths))
    assert checked_footer(paths, ENCODER)


def test_only_what_an_encoder_hears_or_reads_must_be_there(paths: DatasetPaths) -> None:
    frame = (
        good(paths).filter(pl.col("track_id").is_in(HEARD)).with_columns(vector=pl.Series([[0.5] * 128] * len(HEARD)))
    )
    write_parquet(frame, paths.embeddings("mel_statistics"), {"dimension": "128"})
    assert checked_footer(paths, "mel_statistics")


def _replaced(frame: pl.DataFrame, vector: list[float]) -> pl.DataFrame:
    rows = frame["vector"].to_list()
    return frame.with_columns(vector=pl.Series([*rows[:3], vector, *rows[4:]], dtype=pl.List(pl.Float64)))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda frame: frame.filter(pl.col("track_id") > 1),
            "column track_id lacks 2 tracks that LARP-WTC can .* 0, 1",
        ),
        (lambda frame: pl.concat([frame, frame.head(1)]), "column track_id holds 2 rows of tracks that stand twice"),
        (
            lambda frame: frame.with_columns(pl.col("track_id") + 1),
            "column track_id holds 1 tracks that are in no split",
        ),
        (
            lambda frame: _replaced(frame, [0.0] * (WIDTH + 1)),
            r"column vector holds vectors of \[6, 7\] numbers, not of 6",
        ),
        (
            lambda frame: _replaced(frame, [0.0] * (WIDTH - 1) + [np.nan]),
            "column vector holds NaN or infinity for 1 .* 3",
        ),
        (
            lambda frame: _replaced(frame, [0.0] * (WIDTH - 1) + [np.inf]),
            "column vector holds NaN or infinity for 1 .* 3",
        ),
        (lambda frame: frame.rename({"vector": "values"}), "has no column vector"),
    ],
)
def test_a_spoilt_file_is_refused(
    paths: DatasetPaths, spoil: Callable[[pl.DataFrame], pl.DataFrame], message: str
) -> None:
    path = paths.embeddings(ENCODER)
    write_parquet(spoil(good(paths)), path, footer_of(paths))
    with pytest.raises(UserError, match=f"{path}: {message}.*run embeddings/{ENCODER} again"):
        checked_footer(paths, ENCODER)


def test_a_width_that_all_vectors_have_but_not_the_footer(paths: DatasetPaths) -> None:
    write_parquet(good(paths), paths.embeddings(ENCODER), footer_of(paths) | {"dimension": "256"})
    with pytest.raises(UserError, match=r"column vector holds vectors of \[6\] numbers, not of 256"):
        checked_footer(paths, ENCODER)


def test_a_width_that_the_encoder_cannot_have(paths: DatasetPaths) -> None:
    write_parquet(good(paths), paths.embeddings("jukebox"), {"dimension": str(WIDTH)})
    with pytest.raises(UserError, match="not of 4800"):
        checked_footer(paths, "jukebox")


@pytest.mark.parametrize("said", ["0" * 64, ""])
def test_other_weights_than_the_models_are_refused(paths: DatasetPaths, said: str) -> None:
    write_parquet(good(paths), paths.embeddings(ENCODER), footer_of(paths) | {"weights_sha256": said})
    with pytest.raises(UserError, match=r"weights_sha256 is .* made from other weights: run embeddings/larp_wtc again"):
        checked_footer(paths, ENCODER)


def test_weights_trained_since_are_noticed(paths: DatasetPaths) -> None:
    write_parquet(good(paths), paths.embeddings(ENCODER), footer_of(paths))
    (paths.model(ENCODER) / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(UserError, match="made from other weights"):
        checked_footer(paths, ENCODER)


def test_half_a_file_is_refused(paths: DatasetPaths) -> None:
    path = write_parquet(good(paths), paths.embeddings(ENCODER), footer_of(paths))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match="can't be read as Parquet"):
        checked_footer(paths, ENCODER)


def test_missing_weights_are_no_fault_of_the_file(paths: DatasetPaths) -> None:
    write_parquet(good(paths).clear(), paths.embeddings("mule"), {MISSING: "weights not found: set LARP_MULE"})
    assert MISSING in checked_footer(paths, "mule")
