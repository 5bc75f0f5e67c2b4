"""CO-Playlist's vectors: the pooled output of the ResNet that was trained on this dataset's playlists."""

from __future__ import annotations

from typing import Any

import numpy as np

from larp_core.audio.mels.array import load_mels
from larp_core.encoders.embedded import Embedded
from larp_core.graph.job import Job
from larp_core.model.co_playlist import CoPlaylistModel
from larp_core.runtime.files import hash_file
from larp_core.training.encode import encode_all
from larp_core.training.stages import on_best_device
from larp_core.training.track_data import load_track_data


def embed_co_playlist(job: Job, track_ids: np.ndarray) -> Embedded:
    """Unit vectors [N, 2048 at full size] of the tracks that have a clip."""
    folder = job.paths.model(job.encoder)
    loaded: Any = CoPlaylistModel.from_pretrained(folder)
    model = on_best_device(loaded).eval()
    data = load_track_data(job.paths, track_ids, None, 1, load_mels(job.paths))
    features = encode_all(model, data, job.recipe.training.precision)
    seen = features.has_audio.cpu().numpy()
    weights = hash_file(folder / "model.safetensors")
    return Embedded(track_ids[seen], features.audio.float().cpu().numpy()[seen], weights, pretrained=True)
