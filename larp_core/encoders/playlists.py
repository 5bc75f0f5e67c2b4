"""Playlists by the trained fusion: what stage 3's self-attention makes of a held-out playlist's seeds.

The paper uses the fusion in training only (footnote 4) and takes the mean of the seeds at test; this is the other way,
by `evaluation.playlist_vector="fusion"`. As in training the audio and the text vectors are fused apart, each track
lending one for a missing other; a playlist's vector is their mean, as a track's is (equation 11).

Shapes: P playlists, S seeds of the longest, D width.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import torch

from larp_core.config.paths import DatasetPaths
from larp_core.encoders.embedded import Embedded
from larp_core.losses.encoded import Features
from larp_core.model.modeling_larp import LarpModel
from larp_core.runtime.files import write_parquet

PLAYLISTS_AT_ONCE = 256


def write_fused_playlists(encoder: str, paths: DatasetPaths, embedded: Embedded) -> None:
    """`embeddings/<encoder>_playlists.parquet`: `playlist_id, vector` of the validation and test playlists that have a
    seed with a vector."""
    model = LarpModel.from_pretrained(paths.model(encoder)).eval()
    held_out = held_out_playlists(paths)
    vectors, known = fuse_playlists(model, embedded, [ids.to_numpy() for ids in held_out["seeds"]])
    column = pl.Series(vectors, dtype=pl.Array(pl.Float32, vectors.shape[1])).arr.to_list()
    frame = held_out.select("playlist_id").with_columns(vector=column).filter(pl.Series(known))
    write_parquet(frame, paths.playlist_embeddings(encoder), {"weights_sha256": embedded.weights_sha256})


@torch.inference_mode()
def fuse_playlists(model: LarpModel, embedded: Embedded, seeds: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Playlists from their seeds' vectors.

    Args:
        model: with a trained `playlist_fusion`.
        embedded: tracks with audio and text vectors, as `embed_two_towers` gives them.
        seeds: P arrays of track ids; those without a vector are passed over.

    Returns:
        float32 [P, D], zeros for a playlist none of whose seeds has a vector; and bool [P], whether one has.
    """
    tables = _tables(embedded)
    vectors = np.zeros((len(seeds), tables.audio.shape[1]), np.float32)
    known = np.zeros(len(seeds), bool)
    fuse = model.playlist_fusion.cpu()
    for start in range(0, len(seeds), PLAYLISTS_AT_ONCE):
        some = slice(start, start + PLAYLISTS_AT_ONCE)
        rows_PS, present_PS = _rows(embedded.track_ids, seeds[some])
        audio_PD, text_PD = (fuse(table[rows_PS], present_PS) for table in (tables.audio, tables.text))
        vectors[some] = ((audio_PD + text_PD) / 2).numpy()
        known[some] = present_PS.any(1).numpy()
    return vectors, known


def held_out_playlists(paths: DatasetPaths) -> pl.DataFrame:
    """`playlist_id, seeds` of every validation and test playlist that has seeds, by ascending id."""
    seeds = pl.read_parquet(paths.holdouts).filter(pl.col("role") == "seed").sort("playlist_id", "track_id")
    return seeds.group_by("playlist_id", maintain_order=True).agg(seeds="track_id")


def _tables(embedded: Embedded) -> Features:
    """Both vectors of every track, the one it has in place of one that it lacks."""
    parts = (embedded.audio_vectors, embedded.text_vectors, embedded.has_audio, embedded.has_text)
    return Features(*(torch.from_numpy(part) for part in parts if part is not None)).filled()


def _rows(track_ids: np.ndarray, seeds: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each playlist's seeds stand in `track_ids` (ascending): int64 [P, S], and which places are seeds."""
    longest = max((len(ids) for ids in seeds), default=0) or 1
    rows_PS = np.zeros((len(seeds), longest), np.int64)
    present_PS = np.zeros((len(seeds), longest), bool)
    for playlist, ids in enumerate(seeds):
        known = np.intersect1d(ids, track_ids)
        rows_PS[playlist, : len(known)] = np.searchsorted(track_ids, known)
        present_PS[playlist, : len(known)] = True
    return torch.from_numpy(rows_PS), torch.from_numpy(present_PS)
