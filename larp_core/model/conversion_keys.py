"""Names of weights: from the HTS-AT and ALBEF-BERT modules of published checkpoints to those of `transformers`.

HTS-AT is RetroCirce/HTS-Audio-Transformer `model/htsat.py`; LAION-AI/CLAP and Rsalganik1123/LARP carry copies of it
with the same names. Their BERT is ALBEF's (`models/bert.py`): `transformers`' names, without token types.
"""

from __future__ import annotations

import re

_BLOCK = {
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "attn.proj": "attention.output.dense",
    "attn.relative_position_bias_table": "attention.self.relative_position_bias_table",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
_TOP = {
    "bn0": "batch_norm",
    "norm": "norm",
    "patch_embed.proj": "patch_embed.proj",
    "patch_embed.norm": "patch_embed.norm",
}
QKV = ("attention.self.query", "attention.self.key", "attention.self.value")

HTSAT_LEFT_OUT = {
    r"layers\.\d+\.blocks\.\d+\.attn\.relative_position_index": "a buffer that follows from the window size",
    r"layers\.\d+\.blocks\.\d+\.attn_mask": "a buffer that follows from the grid and the shift",
    r"(spectrogram_extractor|logmel_extractor)\..*": "the spectrogram is computed before the model",
    r"(tscam_conv|head)\..*": "the AudioSet classifier, which LARP does not use",
    r"patch_embed\.(mel_conv2d|fusion_model)\..*": "CLAP's fusion, which only clips of more than 10 s go through",
}
CNN14_LEFT_OUT = {
    r"(spectrogram_extractor|logmel_extractor)\..*": "the spectrogram is computed before the model",
    r"fc_audioset\..*": "the AudioSet classifier, which LARP does not use",
}
LAION_LEFT_OUT = {r"(?!audio_branch\.).*": "CLAP's text tower, projections and temperature, not LARP's"}
LARP_LEFT_OUT = {
    r"(audio_encoder|text_encoder|audio_proj|text_proj)_m\..*": "the momentum copy, needed in training only",
    r"(audio_queue|text_queue|queue_ptr)": "the momentum queue, needed in training only",
    r"(audio|text)_features_all": "the lookup tables (num_tracks rows), needed in training only",
    r"temp": "the learned temperature, needed in training only",
    r"(itm_head|text_decoder)\..*": "parts of BLIP that the published code builds and never calls",
    r"text_encoder\.encoder\.layer\.\d+\.crossattention\..*": "cross attention, never called in mode 'text'",
    r"text_encoder\.embeddings\.position_ids": "a buffer that counts from 0",
    r"playlist_constructor\.soft_weights\..*": "one weight a train track, of a fusion that the paper does not have",
}

LARP_NAMES = {
    "audio_proj.weight": "audio_projection.weight",
    "audio_proj.bias": "audio_projection.bias",
    "text_proj.weight": "text_projection.weight",
    "text_proj.bias": "text_projection.bias",
    "playlist_constructor.transformer_encoder.0.w_q.weight": "playlist_fusion.query.weight",
    "playlist_constructor.transformer_encoder.0.w_k.weight": "playlist_fusion.key.weight",
    "playlist_constructor.transformer_encoder.0.w_v.weight": "playlist_fusion.value.weight",
}


def htsat_names(name: str) -> list[str]:
    """Names in `transformers.ClapAudioModel` of an HTS-AT weight; none for an unknown one.

    Three for a fused `attn.qkv`, [3 C, C] or [3 C]: its thirds are query, key and value in this order.
    """
    module, _, kind = name.rpartition(".")
    if name.endswith("relative_position_bias_table"):
        module, kind = name, ""
    if module in _TOP:
        return [f"audio_encoder.{_TOP[module]}.{kind}"]
    if re.fullmatch(r"layers\.\d+\.downsample\.(norm|reduction)", module):
        return [f"audio_encoder.{name}"]
    block = re.fullmatch(r"(layers\.\d+\.blocks\.\d+)\.(.+)", module)
    if block is None:
        return []
    inner = QKV if block[2] == "attn.qkv" else [_BLOCK[block[2]]] if block[2] in _BLOCK else []
    return [f"audio_encoder.{block[1]}.{new}" + (f".{kind}" if kind else "") for new in inner]


def left_out_reason(name: str, patterns: dict[str, str]) -> str | None:
    """Why a weight is not wanted; None where it is."""
    return next((reason for pattern, reason in patterns.items() if re.fullmatch(pattern, name)), None)
