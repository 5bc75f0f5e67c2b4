"""LARP's architecture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class AudioTowerConfig:
    """HTS-AT as `transformers.ClapAudioModel`; the pooled width is `width * 2 ** (len(depths) - 1)`.

    `architecture="ast"` is an AST of `sum(depths)` layers, `heads[0]` heads and `width` numbers; patches of `patch`
    overlap by three eighths (published: 12 layers, 12 heads, 768, 16). `"pann"` is CNN14, whose six blocks begin with
    `width` channels (published: 64) and give 32 times as many numbers. Neither has windows.

    With `train_mel_norm` off the scale and shift of the batch norm over mel bins stay one and zero: 128 numbers that
    small towers do without (what learning them costs: `larp_core.model.mel_norm`).
    `pretrained` is a hub name or folder of CLAP or its audio tower, or a checkpoint file of HTS-AT, LAION-CLAP or LARP;
    for an AST a hub name or folder of one; for CNN14 its published checkpoint file, or a folder of `Cnn14`.
    """

    architecture: Literal["htsat", "ast", "pann"] = "htsat"
    patch: int = 4
    window: int = 8
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (4, 8, 16, 32)
    width: int = 96
    dropout: float = 0.0
    train_mel_norm: bool = True
    pretrained: str | None = None


@dataclass(frozen=True)
class TextTowerConfig:
    """BERT, its CLS token. With nothing pretrained a WordPiece vocabulary is trained on the train split's captions.

    `lexical` adds a weighed bag of the caption's tokens to the tower's vector, a departure from the paper for small
    towers and few playlists, see `larp_core.model.lexical`. It wants a wide `model.projection`.
    """

    width: int = 768
    layers: int = 12
    heads: int = 12
    max_tokens: int = 30
    vocab_size: int = 30_522
    dropout: float = 0.1
    lexical: bool = False
    pretrained: str | None = None


@dataclass(frozen=True)
class ModelConfig:
    """LARP's architecture. `norm="batch"` puts a batch norm (no affine) before each projection: a departure from the
    paper without which small towers do not train from scratch. With `learned_temperature` it starts at `temperature`,
    is learned within .001 and .5 (as the published code does) and handed on with the weights."""

    audio: AudioTowerConfig = field(default_factory=AudioTowerConfig)
    text: TextTowerConfig = field(default_factory=TextTowerConfig)
    projection: int = 256
    norm: Literal["none", "batch"] = "none"
    momentum: float = 0.995
    queue_size: int = 57_600
    temperature: float = 0.07
    learned_temperature: bool = False
