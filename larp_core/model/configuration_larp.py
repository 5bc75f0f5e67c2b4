"""LarpConfig: the shape of the two towers and of what stands on them."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, BertConfig, PreTrainedConfig

from larp_core.config import ModelConfig
from larp_core.model.audio_towers import TowerConfig, described, read_tower_config, tower_config, width_of


class LarpConfig(PreTrainedConfig):
    """Configuration of `LarpModel`.

    Args:
        audio_config: HTS-AT, as of `ClapAudioConfig`, or one of `larp_core.model.audio_towers`' others.
        text_config: BERT, as of `BertConfig`.
        projection_dim: width of the shared space (paper, section 3.1: 256).
        norm: `none`, or `batch` for a batch norm without affine before each projection.
        train_mel_norm: whether the batch norm over mel bins learns its scale and shift.
        max_tokens: captions are cut to this many WordPiece tokens.
        lexical: whether a bag of the caption's tokens is added to the text tower's vector.
        contrast_temperature: that of the training; only where `learned_temperature` it is a weight, and this its start.
    """

    model_type = "larp"
    sub_configs = {"audio_config": AutoConfig, "text_config": BertConfig}  # noqa: RUF012

    def __init__(
        self,
        audio_config: dict[str, Any] | TowerConfig | None = None,
        text_config: dict[str, Any] | BertConfig | None = None,
        projection_dim: int = 256,
        norm: str = "none",
        train_mel_norm: bool = True,
        max_tokens: int = 30,
        lexical: bool = False,
        contrast_temperature: float = 0.07,
        learned_temperature: bool = False,
        **kwargs: Any,
    ) -> None:
        self.audio_config = (
            read_tower_config(audio_config or {}) if isinstance(audio_config, dict | None) else audio_config
        )
        self.text_config = text_config if isinstance(text_config, BertConfig) else _text(text_config or {})
        self.projection_dim = projection_dim
        self.norm = norm
        self.train_mel_norm = train_mel_norm
        self.max_tokens = max_tokens
        self.lexical = lexical
        self.contrast_temperature = contrast_temperature
        self.learned_temperature = learned_temperature
        super().__init__(**kwargs)

    @property
    def audio_width(self) -> int:
        """Width of the audio tower's pooled output."""
        return width_of(self.audio_config)

    def parts(self) -> dict[str, str]:
        """What the model is made of, for its card."""
        text = self.text_config
        return {
            "audio tower": described(self.audio_config),
            "text tower": f"BERT, {text.num_hidden_layers} layers of {text.hidden_size}, {self.max_tokens} tokens",
            "shared space": f"{self.projection_dim} dimensions",
        }

    @classmethod
    def from_recipe(cls, model: ModelConfig, vocab_size: int) -> LarpConfig:
        """The configuration that a recipe asks for, with the vocabulary's true size."""
        audio, text = model.audio, model.text
        return cls(
            audio_config=tower_config(audio),
            text_config=BertConfig(
                vocab_size=vocab_size,
                hidden_size=text.width,
                num_hidden_layers=text.layers,
                num_attention_heads=text.heads,
                intermediate_size=4 * text.width,
                max_position_embeddings=512,
                hidden_dropout_prob=text.dropout,
                attention_probs_dropout_prob=text.dropout,
            ),
            projection_dim=model.projection,
            norm=model.norm,
            train_mel_norm=audio.train_mel_norm,
            max_tokens=text.max_tokens,
            lexical=text.lexical,
            contrast_temperature=model.temperature,
            learned_temperature=model.learned_temperature,
        )


AutoConfig.register(LarpConfig.model_type, LarpConfig)


def _text(values: dict[str, Any]) -> BertConfig:
    return BertConfig(**{name: value for name, value in values.items() if name != "model_type"})
