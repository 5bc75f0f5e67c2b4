"""Embeddings: one vector a track from any encoder, for every track of the split. What the benchmark reads."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path

import numpy as np
import polars as pl

from larp_core.config.encoders import Encoder, fuses_playlists
from larp_core.config.paths import DatasetPaths
from larp_core.config.recipes import Recipe
from larp_core.encoders.embedded import Embedded, EncodingRequest, WeightsNotFound
from larp_core.evaluation.vectors import MISSING
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import write_parquet
from larp_core.runtime.report import Report

logger = logging.getLogger(__name__)


def embed_tracks(encoder: Encoder, paths: DatasetPaths, recipe: Recipe, weights: str = "", command: str = "") -> Report:
    """Writes `embeddings/<encoder>.parquet`: `track_id, vector`, and from two-tower models `audio_vector, text_vector`.

    Tracks that the encoder cannot see (no clip for an audio tower, say) have no row; those that it was asked for and
    gave up have a null vector. Where its weights are not to be found, or it sees no track at all, the file has no row,
    and its footer says why under `missing`. The footer tells what the vectors were made with, see `describe`. Where the
    recipe asks for them, an encoder with a trained fusion writes held-out playlists beside, see
    `larp_core.encoders.playlists`.

    Args:
        weights, command: what the user has named for the encoder, see `EncodingRequest`.

    Raises:
        UserError: a vector that isn't finite, or whatever the encoder refuses.
    """
    module, function = encoder.extractor.split(":")
    track_ids = pl.read_parquet(paths.split_tracks)["track_id"].sort().to_numpy()
    request, path = EncodingRequest(encoder, paths, recipe, weights, command), paths.embeddings(encoder.name)
    try:
        embedded: Embedded = getattr(importlib.import_module(module), function)(request, track_ids)
    except WeightsNotFound as error:
        logger.warning("%s", error)
        return _write_missing(path, encoder, str(error))
    if not len(embedded.track_ids):
        what = " or ".join(["a clip"] * encoder.hears + ["a caption"] * encoder.reads)
        return _write_missing(path, encoder, f"no track has {what}")
    _check_finite(encoder, embedded)
    metadata = describe(encoder) | {
        "dimension": str(embedded.vectors.shape[1]),
        "weights_sha256": embedded.weights_sha256,
        "pretrained": str(embedded.pretrained).lower(),
        **embedded.notes,
    }
    write_embedded(embedded, path, metadata)
    if fuses_playlists(encoder.name, recipe.evaluation):
        from larp_core.encoders.playlists import write_fused_playlists  # needs torch, which not every encoder does

        write_fused_playlists(encoder.name, paths, embedded)
    without = len(track_ids) - len(embedded.track_ids)
    return Report(len(embedded.track_ids), facts={"num_tracks_without_vector": without, **metadata})


def write_embedded(embedded: Embedded, path: Path, metadata: dict[str, str]) -> None:
    """One row a track, `metadata` in the footer."""
    frame = pl.DataFrame({"track_id": _ids(embedded.track_ids), "vector": _lists(embedded.vectors)})
    for name, vectors, present in embedded.modalities():
        nothing = pl.Series([None], dtype=pl.List(pl.Float32))
        frame = frame.with_columns(_lists(vectors).zip_with(pl.Series(present), nothing).alias(name))
    given_up = pl.DataFrame({"track_id": _ids(embedded.given_up)})
    write_parquet(pl.concat([frame, given_up], how="diagonal").sort("track_id"), path, metadata)


def describe(encoder: Encoder) -> dict[str, str]:
    """The encoder's facts as the footer of its file holds them; numbers as text."""
    rate = encoder.sample_rate_hz
    return {
        "encoder": encoder.name,
        "encoder_version": str(encoder.version),
        "licence": encoder.licence,
        "source": encoder.source,
        "sample_rate_hz": str(rate) if rate else "",
    }


def _write_missing(path: Path, encoder: Encoder, why: str) -> Report:
    metadata = describe(encoder) | {"dimension": "", "weights_sha256": "", "pretrained": "false", MISSING: why}
    nothing = pl.DataFrame({"track_id": _ids(np.empty(0)), "vector": pl.Series(dtype=pl.List(pl.Float32))})
    write_parquet(nothing, path, metadata)
    return Report(0, facts=metadata)


def has_missing_weights(path: Path, is_named: bool) -> bool:
    """Whether weights that the user or the recipe has named (`is_named`) were not found last time, when the embeddings
    at `path` were written; a hub may answer now."""
    return is_named and path.exists() and MISSING in pl.read_parquet_metadata(path)


def _check_finite(encoder: Encoder, embedded: Embedded) -> None:
    """Raises UserError where a vector holds NaN or infinity: it would spoil every ranking that it takes part in."""
    bad = embedded.track_ids[~np.isfinite(embedded.vectors).all(axis=1)]
    if len(bad):
        raise UserError(
            f"embeddings/{encoder.name}: the vectors of {len(bad)} tracks hold NaN or infinity, such as that of track "
            f"{bad[0]}; check the weights, or train again with precision='fp32'"
        )


def _ids(track_ids: np.ndarray) -> pl.Series:
    return pl.Series(track_ids, dtype=pl.Int32)


def _lists(vectors: np.ndarray) -> pl.Series:
    return pl.Series(vectors.astype(np.float32), dtype=pl.Array(pl.Float32, vectors.shape[1])).arr.to_list()
