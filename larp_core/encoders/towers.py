"""Encoders made of the model's towers: BERT and HTS-AT alone, as before training here, and the trained models."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from transformers import AutoTokenizer

from larp_core.audio.mels import load_mels
from larp_core.encoders.embedded import Embedded
from larp_core.files import hash_file
from larp_core.model.modeling_larp import LarpModel
from larp_core.model.pretrained import build_model
from larp_core.model.vocabulary import make_tokenizer
from larp_core.steps import Job
from larp_core.training.encode import INFERENCE_BATCH, autocast, encode_all, track_vectors
from larp_core.training.stages import on_best_device
from larp_core.training.track_data import TrackBatch, TrackData, load_captions, load_track_data


def embed_two_towers(job: Job, track_ids: np.ndarray) -> Embedded:
    """e = mean(a, t) from `models/<encoder>/` (paper, equation 11), with a and t beside it."""
    folder = job.paths.model(job.encoder)
    model = on_best_device(LarpModel.from_pretrained(folder)).eval()
    data = load_track_data(
        job.paths, track_ids, AutoTokenizer.from_pretrained(folder), model.config.max_tokens, load_mels(job.paths)
    )
    features = encode_all(model, data, job.recipe.training.precision)
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


def embed_text_tower(job: Job, track_ids: np.ndarray) -> Embedded:
    """BERT's CLS vector [768 at full size]: the weights that training here starts from."""
    model, data = _starting_point(job, track_ids)
    seen = data.has_text.numpy()
    vectors = _pooled(
        job, model, data, np.flatnonzero(seen), lambda batch: model.pooled_text(batch.input_ids, batch.attention_mask)
    )
    return Embedded(track_ids[seen], vectors, _state_sha256(model), bool(job.recipe.model.text.pretrained))


def embed_audio_tower(job: Job, track_ids: np.ndarray) -> Embedded:
    """HTS-AT's pooled latent [768 at full size]: the weights that training here starts from."""
    model, data = _starting_point(job, track_ids)
    seen = data.mel_rows >= 0
    vectors = _pooled(job, model, data, np.flatnonzero(seen), lambda batch: model.pooled_audio(batch.input_features))
    return Embedded(track_ids[seen], vectors, _state_sha256(model), bool(job.recipe.model.audio.pretrained))


def _starting_point(job: Job, track_ids: np.ndarray) -> tuple[LarpModel, TrackData]:
    """The model as stage 1 finds it: same recipe, vocabulary and seed."""
    recipe = job.recipe
    tokenizer = make_tokenizer(recipe.model.text, load_captions(job.paths, "train")["caption"].to_list())
    model = on_best_device(build_model(recipe.model, len(tokenizer), recipe.training.seed)).eval()
    data = load_track_data(job.paths, track_ids, tokenizer, recipe.model.text.max_tokens, load_mels(job.paths))
    return model, data


def _pooled(
    job: Job, model: LarpModel, data: TrackData, positions: np.ndarray, tower: Callable[[TrackBatch], Tensor]
) -> np.ndarray:
    parts = []
    with torch.inference_mode(), autocast(model.device, job.recipe.training.precision):
        for start in range(0, max(1, len(positions)), INFERENCE_BATCH):
            chunk = positions[start : start + INFERENCE_BATCH]
            if len(chunk):
                parts.append(tower(data.batch(chunk).to(model.device)).float().cpu().numpy())
    return np.concatenate(parts) if parts else np.empty((0, 1), dtype=np.float32)


def _state_sha256(model: LarpModel) -> str:
    """Weights that were never saved are named by their values."""
    import hashlib

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
