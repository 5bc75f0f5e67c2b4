"""CLAP-PT: LAION-CLAP as it was published, from a hub name or a folder, or its vectors from a file.

The paper says that "the pre-trained model" gives the representations, not of which modality; the released code holds
512 numbers a track for it, as for CLAP-FT, and averages audio and caption where a model gives both. So do we: the
vector is the mean of the unit vectors of what a track has (equation 11), and both stand beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

from larp_core.audio.mels.array import NUM_MELS, load_mels
from larp_core.config.encoders import OUR_RATE_HZ
from larp_core.config.settings import VECTOR_SUFFIXES
from larp_core.encoders.embedded import Embedded, EncodingRequest, WeightsNotFound
from larp_core.encoders.precomputed import embed_precomputed
from larp_core.encoders.towers import state_sha256
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import hash_file
from larp_core.training.encode import encode_all, track_vectors
from larp_core.training.track_data import load_track_data

MAX_TOKENS = 77
"""CLAP's own, of RoBERTa's pieces."""


class PublishedClap(nn.Module):
    """A `ClapModel` with the few methods through which `larp_core.training.encode` runs a model of ours."""

    def __init__(self, clap: ClapModel) -> None:
        super().__init__()
        self.clap = clap
        self.config = clap.config

    @property
    def device(self) -> torch.device:
        return self.clap.device

    def get_audio_features(self, input_features: Tensor) -> Tensor:
        """Log-mel [B, 1, 1001, 64] in dB -> unit vectors [B, 512] (float32)."""
        longer = torch.zeros(len(input_features), 1, dtype=torch.bool, device=input_features.device)
        found = self.clap.get_audio_features(input_features=input_features, is_longer=longer).pooler_output
        return nn.functional.normalize(found.float(), dim=-1)

    def get_text_features(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids [B, L] -> unit vectors [B, 512] (float32)."""
        found = self.clap.get_text_features(input_ids=input_ids, attention_mask=attention_mask).pooler_output
        return nn.functional.normalize(found.float(), dim=-1)


def embed_clap(request: EncodingRequest, track_ids: np.ndarray) -> Embedded:
    """The mean of CLAP's clip and caption vectors, with both beside it.

    Raises:
        WeightsNotFound: none are named, or those that are can't be got.
        UserError: weights that are not those of an unfused 48 kHz CLAP with all its parts.
    """
    paths, name = request.paths, request.weights or request.recipe.encoders.clap_pt
    if not name:
        raise WeightsNotFound(request.encoder.missing)
    if Path(name).suffix in VECTOR_SUFFIXES or any(Path(name).glob(f"{paths.dataset}.*")):
        return embed_precomputed(request, track_ids)
    tokenizer, clap = load_clap(name)
    model: Any = PublishedClap(clap).to("cuda" if torch.cuda.is_available() else "cpu").eval()
    data = load_track_data(paths, track_ids, tokenizer, MAX_TOKENS, load_mels(paths))
    features = encode_all(model, data, request.recipe.training.precision)
    seen = (features.has_audio | features.has_text).cpu().numpy()
    file = Path(name) / "model.safetensors"
    return Embedded(
        track_ids=track_ids[seen],
        vectors=track_vectors(features)[seen],
        weights_sha256=hash_file(file) if file.is_file() else state_sha256(clap),
        pretrained=True,
        audio_vectors=features.audio.cpu().numpy()[seen],
        text_vectors=features.text.cpu().numpy()[seen],
        has_audio=features.has_audio.cpu().numpy()[seen],
        has_text=features.has_text.cpu().numpy()[seen],
        notes={"weights": name},
    )


def load_clap(name: str) -> tuple[Any, ClapModel]:
    """Tokenizer and model, all weights matched.

    Raises: as `embed_clap`.
    """
    variable = "LARP_CLAP_PT"
    try:
        loaded: Any = ClapModel.from_pretrained(name, output_loading_info=True)
        model, info = loaded
        tokenizer = AutoTokenizer.from_pretrained(name)
        front_end = ClapFeatureExtractor.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise WeightsNotFound(
            f"weights not found: {name}: {reason}; set {variable} to a folder of a ClapModel"
        ) from None
    if missing := sorted(info["missing_keys"]):
        raise UserError(f"{variable}: '{name}' lacks {len(missing)} weights of ClapModel, such as {missing[0]}")
    if model.config.audio_config.enable_fusion:
        raise UserError(f"{variable}: '{name}' is a CLAP with fusion, for clips of more than 10 s; name an unfused one")
    if (front_end.sampling_rate, front_end.feature_size) != (OUR_RATE_HZ, NUM_MELS):
        raise UserError(
            f"{variable}: '{name}' hears {front_end.sampling_rate} Hz in {front_end.feature_size} mels, the mels here "
            f"are of {OUR_RATE_HZ} Hz in {NUM_MELS}; name another CLAP"
        )
    return tokenizer, model
