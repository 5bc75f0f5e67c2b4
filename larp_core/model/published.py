"""A published checkpoint as a folder of ours: `larp convert <checkpoint> <folder>`.

The towers' sizes are read off the weights' shapes.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, BertConfig, ClapAudioConfig, ClapAudioModel, PreTrainedTokenizerBase

from larp_core.model.configuration_larp import LarpConfig
from larp_core.model.convert import (
    KINDS,
    ConversionReport,
    Weights,
    convert_audio_tower,
    convert_larp,
    htsat_part,
    kind_of,
    read_checkpoint,
)
from larp_core.model.modeling_larp import LarpModel
from larp_core.model.processing_larp import LarpProcessor
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import make_folder

logger = logging.getLogger(__name__)

BERT_HEAD_WIDTH = 64
PUBLISHED_TOKENS = ("[DEC]", "[ENC]")
PUBLISHED_MAX_TOKENS = 30


def convert_checkpoint(
    checkpoint: Path, folder: Path, kind: str | None = None, tokenizer: str = "bert-base-uncased"
) -> ConversionReport:
    """Writes `folder`: a `LarpModel` with its processor from a LARP checkpoint, else a `ClapAudioModel`.

    Either kind of checkpoint may also be named as it is in a recipe's `model.audio.pretrained`, as may the folder of a
    `ClapAudioModel`.

    Args:
        kind: one of `KINDS`; told from the weights' names where it is not given.
        tokenizer: hub name or folder; LARP's checkpoints come without theirs, which is BERT's and two tokens more.

    Raises:
        UserError: an unreadable checkpoint, one of an unknown kind, or one that does not match to the last weight.
    """
    state = read_checkpoint(checkpoint)
    kind = kind or kind_of(state)
    if kind not in KINDS or kind != kind_of(state):
        raise UserError(
            f"{checkpoint}: not a checkpoint of the kind {kind or 'known'}; known kinds: {', '.join(KINDS)}"
        )
    if kind != "larp":
        tower = ClapAudioModel(audio_config_of(htsat_part(state, kind)[0]))
        report = convert_audio_tower(state, kind, tower)
        tower.save_pretrained(make_folder(folder))
        return report
    vocabulary = _published_tokenizer(tokenizer, len(state["text_encoder.embeddings.word_embeddings.weight"]))
    config = LarpConfig(
        audio_config=audio_config_of(htsat_part(state, kind)[0]),
        text_config=text_config_of(state),
        projection_dim=len(state["audio_proj.weight"]),
        max_tokens=PUBLISHED_MAX_TOKENS,
    )
    model = LarpModel(config)
    report = convert_larp(state, model)
    model.save_pretrained(make_folder(folder))
    LarpProcessor.around(vocabulary, PUBLISHED_MAX_TOKENS).save_pretrained(folder)
    return report


def audio_config_of(tower: Weights) -> ClapAudioConfig:
    """The sizes of an HTS-AT under its bare names.

    Raises:
        UserError: weights without which they cannot be told.
    """
    try:
        width, _, patch, _ = tower["patch_embed.proj.weight"].shape
        depths: list[int] = []
        heads: list[int] = []
        window = 0
        while (first := f"layers.{len(depths)}.blocks.0.attn.relative_position_bias_table") in tower:
            table = tower[first]
            depths.append(_count(tower, f"layers.{len(depths)}.blocks."))
            heads.append(table.shape[1])
            window = max(window, (math.isqrt(table.shape[0]) + 1) // 2)
        ratio = tower["layers.0.blocks.0.mlp.fc1.weight"].shape[0] / width
        bins = len(tower["bn0.weight"])
    except KeyError as error:
        raise UserError(f"the checkpoint's HTS-AT lacks {error.args[0]}") from None
    return ClapAudioConfig(
        patch_size=patch,
        patch_stride=[patch, patch],
        window_size=window,
        depths=depths,
        num_attention_heads=heads,
        num_hidden_layers=len(depths),
        patch_embeds_hidden_size=width,
        hidden_size=width * 2 ** (len(depths) - 1),
        num_mel_bins=bins,
        mlp_ratio=ratio,
    )


def text_config_of(state: Weights) -> BertConfig:
    """The sizes of a LARP checkpoint's BERT; its heads are 64 wide, as in every published BERT."""
    vocabulary, width = state["text_encoder.embeddings.word_embeddings.weight"].shape
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=_count(state, "text_encoder.encoder.layer."),
        num_attention_heads=width // BERT_HEAD_WIDTH,
        intermediate_size=len(state["text_encoder.encoder.layer.0.intermediate.dense.bias"]),
        max_position_embeddings=len(state["text_encoder.embeddings.position_embeddings.weight"]),
    )


def _count(state: Weights, prefix: str) -> int:
    """How many numbered modules there are below `prefix`."""
    return len({name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)})


def _published_tokenizer(name: str, vocab_size: int) -> PreTrainedTokenizerBase:
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot load the tokenizer '{name}': {reason}; give a folder or a hub name") from None
    if len(tokenizer) < vocab_size:
        tokenizer.add_special_tokens(
            {"bos_token": PUBLISHED_TOKENS[0], "additional_special_tokens": [PUBLISHED_TOKENS[1]]}
        )
    if len(tokenizer) != vocab_size:
        raise UserError(
            f"the tokenizer '{name}' has {len(tokenizer)} tokens, the checkpoint {vocab_size}; give its own"
        )
    return tokenizer
