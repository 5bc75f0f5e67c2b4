"""CO-Playlist's vectors: the pooled output of the ResNet that was trained on this dataset's playlists."""

from __future__ import annotations

import numpy as np

from larp_core.audio.mels.array import load_mels
from larp_core.encoders.embedded import Embedded, EncodingRequest
from larp_core.model.co_playlist import CoPlaylistModel
from larp_core.runtime.files import hash_file
from larp_core.training.encode import encode_all
from larp_core.training.stages import on_best_device
from larp_core.training.track_data import load_track_data


def embed_co_playlist(request: EncodingRequest, track_ids: np.ndarray) -> Embedded:
    """Unit vectors [N, 2048 at full size] of the tracks that have a clip."""
    paths = request.paths
    folder = paths.model(request.encoder.name)
    loaded: CoPlaylistModel = CoPlaylistModel.from_pretrained(folder)
    model = on_best_device(loaded).eval()
    data = load_track_data(paths, track_ids, None, 1, load_mels(paths))
    features = encode_all(model, data, request.recipe.training.precision)
    seen = features.has_audio.cpu().numpy()
    weights = hash_file(folder / "model.safetensors")
    return Embedded(track_ids[seen], features.audio.float().cpu().numpy()[seen], weights, pretrained=True)
