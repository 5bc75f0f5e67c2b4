"""Embeddings: one vector a track from any encoder, for every track of the split. What the benchmark reads.

To add an encoder, write a function `(job, track_ids) -> Embedded` and name it in `_EXTRACTORS`, and list it in
`larp_core.graph_of_steps`.
"""

from __future__ import annotations

import importlib

import numpy as np
import polars as pl

from larp_core.encoders.embedded import Embedded
from larp_core.encoders.playlists import write_fused_playlists
from larp_core.files import write_parquet
from larp_core.graph_of_steps import TRAINED, fuses_playlists
from larp_core.steps import Job, Report

_EXTRACTORS = {
    "mel_statistics": "larp_core.encoders.mel_statistics:embed_mel_statistics",
    "bert": "larp_core.encoders.towers:embed_text_tower",
    "htsat": "larp_core.encoders.towers:embed_audio_tower",
    **dict.fromkeys(TRAINED, "larp_core.encoders.towers:embed_two_towers"),
}


def embed_tracks(job: Job) -> Report:
    """Writes `embeddings/<encoder>.parquet`: `track_id, vector`, and from two-tower models `audio_vector, text_vector`.

    Tracks that the encoder cannot see (no clip for an audio tower, say) have no row. Where the recipe asks for them,
    an encoder with a trained fusion writes held-out playlists beside, see `larp_core.encoders.playlists`.
    """
    module, function = _EXTRACTORS[job.encoder].split(":")
    track_ids = pl.read_parquet(job.paths.split_tracks)["track_id"].sort().to_numpy()
    embedded: Embedded = getattr(importlib.import_module(module), function)(job, track_ids)
    columns = {"track_id": pl.Series(embedded.track_ids, dtype=pl.Int32), "vector": _lists(embedded.vectors)}
    for name, vectors, present in embedded.modalities():
        columns[name] = _lists(vectors).zip_with(pl.Series(present), pl.Series([None], dtype=pl.List(pl.Float32)))
    metadata = {"weights_sha256": embedded.weights_sha256, "pretrained": str(embedded.pretrained).lower()}
    write_parquet(pl.DataFrame(columns), job.paths.embeddings(job.encoder), metadata)
    if fuses_playlists(job):
        write_fused_playlists(job, embedded)
    return Report(
        num_rows=len(embedded.track_ids),
        facts={
            "dimension": embedded.vectors.shape[1],
            "num_tracks_without_vector": len(track_ids) - len(embedded.track_ids),
            **metadata,
        },
    )


def _lists(vectors: np.ndarray) -> pl.Series:
    return pl.Series(vectors.astype(np.float32), dtype=pl.Array(pl.Float32, vectors.shape[1])).arr.to_list()
