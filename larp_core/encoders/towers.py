"""Encoders made of the model's towers: BERT and HTS-AT alone, as before training here, and the trained models."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import AutoTokenizer

from larp_core.audio.mels.array import load_mels
from larp_core.config.paths import DatasetPaths
from larp_core.encoders.embedded import Embedded, EncodingRequest
from larp_core.model.audio_towers import TITLES
from larp_core.model.modeling_larp import LarpModel
from larp_core.model.pretrained import build_model
from larp_core.model.vocabulary import make_tokenizer
from larp_core.runtime.files import hash_file
from larp_core.training.encode import INFERENCE_BATCH, autocast, encode_all, track_vectors
from larp_core.training.stages import on_best_device
from larp_core.training.track_data import TrackData, load_captions, load_track_data


def embed_two_towers(request: EncodingRequest, track_ids: np.ndarray) -> Embedded:
    """e = mean(a, t) from `models/<encoder>/` (paper, equation 11), with a and t beside it.

    `encode_all` says what a is where a track has several clips.
    """
    folder = request.paths.model(request.encoder.name)
    return embed_with(folder, request.paths, track_ids, request.recipe.training.precision)


def embed_with(folder: Path, paths: DatasetPaths, track_ids: np.ndarray, precision: str) -> Embedded:
    """The same by any model's folder, whatever dataset it was trained on."""
    model = on_best_device(LarpModel.from_pretrained(folder)).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    data = load_track_data(paths, track_ids, tokenizer, model.config.max_tokens, load_mels(paths))
    features = encode_all(model, data, precision)
    seen = (features.has_audio | features.has_text).cpu().numpy()
    return Embedded(
        track_ids=track_ids[seen],
        vectors=track_vectors(features)[seen],
        weights_sha256=hash_file(folder / "model.safetensors"),
        pretrained=True,
        audio_vectors=features.audio.float().cpu().numpy()[seen],
        text_vectors=features.text.float().cpu().numpy()[seen],
        has_audio=features.has_audio.cpu().numpy()[seen],
        has_text=features.has_text.cpu().numpy()[seen],
    )


def embed_text_tower(request: EncodingRequest, track_ids: np.ndarray) -> Embedded:
    """BERT's CLS vector [768 at full size]: the weights that training here starts from."""
    model, data = _starting_point(request, track_ids)
    seen = data.has_text.numpy()
    precision = request.recipe.training.precision
    tower = functools.partial(_latent_of_captions, model, data)
    vectors = _pooled(model, np.flatnonzero(seen), tower, precision)
    return Embedded(track_ids[seen], vectors, state_sha256(model), bool(request.recipe.model.text.pretrained))


def embed_audio_tower(request: EncodingRequest, track_ids: np.ndarray) -> Embedded:
    """HTS-AT's pooled latent [768 at full size], the mean over a track's clips: the weights that training here starts
    from."""
    model, data = _starting_point(request, track_ids)
    seen = data.mel_rows >= 0
    precision = request.recipe.training.precision
    vectors = _pooled(model, np.flatnonzero(seen), functools.partial(_mean_latent, model, data), precision)
    return Embedded(
        track_ids[seen],
        vectors,
        state_sha256(model),
        bool(request.recipe.model.audio.pretrained),
        notes={"audio_tower": TITLES[model.config.audio_config.model_type]},
    )


def _starting_point(request: EncodingRequest, track_ids: np.ndarray) -> tuple[LarpModel, TrackData]:
    """The model as stage 1 finds it: same recipe, vocabulary and seed."""
    recipe, paths = request.recipe, request.paths
    tokenizer = make_tokenizer(recipe.model.text, load_captions(paths, "train")["caption"].to_list())
    model = on_best_device(build_model(recipe.model, len(tokenizer), recipe.training.seed)).eval()
    data = load_track_data(paths, track_ids, tokenizer, recipe.model.text.max_tokens, load_mels(paths))
    return model, data


def _latent_of_captions(model: LarpModel, data: TrackData, positions: np.ndarray) -> Tensor:
    batch = data.batch(positions).to(model.device)
    return model.pooled_text(batch.input_ids, batch.attention_mask)


def _mean_latent(model: LarpModel, data: TrackData, positions: np.ndarray) -> Tensor:
    """The mean of each track's clips' latents [T, D], for tracks that have a clip."""
    latents = model.pooled_audio(data.batch(positions).to(model.device).input_features).float()
    num_clips = torch.ones(len(latents), 1, device=latents.device)
    for tracks, mels in data.further_clips(positions):
        tracks = tracks.to(latents.device)
        latents[tracks] += model.pooled_audio(mels.to(latents.device)).float()
        num_clips[tracks] += 1
    return latents / num_clips


def _pooled(
    model: LarpModel, positions: np.ndarray, tower: Callable[[np.ndarray], Tensor], precision: str
) -> np.ndarray:
    """What a tower gives for the tracks at `positions`, a batch at a time; float32 [N, D]."""
    parts = []
    with torch.inference_mode(), autocast(model.device, precision):
        for start in range(0, max(1, len(positions)), INFERENCE_BATCH):
            chunk = positions[start : start + INFERENCE_BATCH]
            if len(chunk):
                parts.append(tower(chunk).float().cpu().numpy())
    return np.concatenate(parts) if parts else np.empty((0, 1), dtype=np.float32)


def state_sha256(model: torch.nn.Module) -> str:
    """Weights that were never saved are named by their values."""
    import hashlib

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
