"""Tracks of one dataset as a model that was trained on another sees them (LARP section 4.4.1, table 4)."""

from __future__ import annotations

import polars as pl

from larp_core.config.encoders import TRANSFER_ENCODER, TRANSFER_FROM, TRANSFER_TO, has_transfer
from larp_core.config.settings import Settings
from larp_core.encoders.embed import write_embedded
from larp_core.encoders.towers import embed_with
from larp_core.runtime.report import Report


def embed_transferred(settings: Settings) -> Report:
    """Writes `lfm/embeddings/larp_tpc_fusion_from_mpd.parquet`, as `embed_tracks` does; nothing where a dataset is
    missing.

    Tokenizer and weights are the other dataset's: a word that it never had is an unknown one.
    """
    if not has_transfer(settings):
        missing = [name for name in (TRANSFER_FROM, TRANSFER_TO) if name not in settings.datasets]
        return Report(0, facts={"not run": f"needs {TRANSFER_FROM} and {TRANSFER_TO}; {', '.join(missing)} is missing"})
    paths = settings.paths(TRANSFER_TO)
    folder = settings.paths(TRANSFER_FROM).model(TRANSFER_ENCODER)
    track_ids = pl.read_parquet(paths.split_tracks)["track_id"].sort().to_numpy()
    embedded = embed_with(folder, paths, track_ids, settings.recipe.training.precision)
    metadata = {"weights_sha256": embedded.weights_sha256, "pretrained": "true", "trained_on": TRANSFER_FROM}
    write_embedded(embedded, paths.transferred_embeddings(TRANSFER_ENCODER, TRANSFER_FROM), metadata)
    return Report(len(embedded.track_ids), facts={"dimension": embedded.vectors.shape[1], **metadata})
