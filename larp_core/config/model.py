"""LARP's architecture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from larp_core.config.section import Count, Name, Section, ShareBelowAll, Temperature, Width, Within

PICTURE = 256
"""HTS-AT folds the mels into a square of so many rows and columns."""

SMALLEST_GRID = 4
"""A row of patches for each of the four parts that it folds the clip from."""

NUM_MELS = 64
MOST_TOKENS = 512
"""BERT's positions."""

Depth = Annotated[int, Within(1, 1_000)]

LEARNED_TEMPERATURES = (0.001, 0.5)
"""The range of a learned temperature, as in the published code."""


@dataclass(frozen=True)
class AudioTowerConfig(Section, section="model.audio"):
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
    patch: Annotated[int, Within(1, NUM_MELS)] = 4
    window: Count = 8
    depths: tuple[Depth, ...] = (2, 2, 6, 2)
    heads: tuple[Width, ...] = (4, 8, 16, 32)
    width: Width = 96
    dropout: ShareBelowAll = 0.0
    train_mel_norm: bool = True
    pretrained: Name | None = None

    def check(self) -> None:
        """Raises UserError for stages, heads, patches or windows that the architecture can't be built from."""
        if not self.depths or not self.heads:
            self.refuse("give at least one number each", "depths", "heads")
        if self.architecture == "htsat":
            self._check_htsat()
        elif self.architecture == "ast" and self.width % self.heads[0]:
            self.refuse("an AST's width is shared out among heads[0] heads, so it must be a multiple", "width", "heads")

    def _check_htsat(self) -> None:
        """Each stage halves the grid of patches and doubles the width."""
        if len(self.depths) != len(self.heads):
            self.refuse("HTS-AT has a number of blocks and one of heads for each stage", "depths", "heads")
        for stage, heads in enumerate(self.heads):
            if self.width * 2**stage % heads:
                self.refuse(f"stage {stage + 1} shares out {self.width * 2**stage} among {heads}", "width", "heads")
        if PICTURE % self.patch:
            self.refuse(f"HTS-AT's patches tile {PICTURE} rows, so it must be a divisor of that", "patch")
        smallest = PICTURE // self.patch // 2 ** (len(self.depths) - 1)
        why = f"HTS-AT's last stage has a grid of {smallest} x {smallest} patches, and"
        if smallest < SMALLEST_GRID:
            self.refuse(
                f"{why} needs {SMALLEST_GRID} x {SMALLEST_GRID}: smaller patches, or fewer stages", "patch", "depths"
            )
        if self.window > smallest:
            self.refuse(f"{why} a window may not be larger", "window", "patch", "depths")


@dataclass(frozen=True)
class TextTowerConfig(Section, section="model.text"):
    """BERT, its CLS token. With nothing pretrained a WordPiece vocabulary is trained on the train split's captions.

    `lexical` adds a weighed bag of the caption's tokens to the tower's vector, a departure from the paper for small
    towers and few playlists, see `larp_core.model.lexical`. It wants a wide `model.projection`.
    """

    width: Width = 768
    layers: Depth = 12
    heads: Width = 12
    max_tokens: Annotated[int, Within(3, MOST_TOKENS)] = 30
    vocab_size: Annotated[int, Within(1, 1_000_000)] = 30_522
    dropout: ShareBelowAll = 0.1
    lexical: bool = False
    pretrained: Name | None = None

    def check(self) -> None:
        if self.width % self.heads:
            self.refuse("the width is shared out among the heads, so it must be a multiple", "width", "heads")


@dataclass(frozen=True)
class ModelConfig(Section, section="model"):
    """LARP's architecture. `norm="batch"` puts a batch norm (no affine) before each projection: a departure from the
    paper without which small towers do not train from scratch. With `learned_temperature` it starts at `temperature`,
    is learned within .001 and .5 (as the published code does) and handed on with the weights."""

    audio: AudioTowerConfig = field(default_factory=AudioTowerConfig)
    text: TextTowerConfig = field(default_factory=TextTowerConfig)
    projection: Width = 256
    norm: Literal["none", "batch"] = "none"
    momentum: ShareBelowAll = 0.995
    queue_size: Annotated[int, Within(1, 10_000_000)] = 57_600
    temperature: Temperature = 0.07
    learned_temperature: bool = False

    def check(self) -> None:
        low, high = LEARNED_TEMPERATURES
        if self.learned_temperature and not low <= self.temperature <= high:
            self.refuse(f"a learned one starts within {low} and {high}", "temperature", "learned_temperature")
