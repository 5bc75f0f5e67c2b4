"""CNN14, the audio tower of PANNs (Kong et al. 2020, arXiv 1912.10211), under the names of its published weights.

It takes 64 log-mels of 50 to 14,000 Hz at 100 frames a second, as HTS-AT does: the pipeline's [1001, 64] go in as they
are. The published weights heard 32 kHz audio, see `larp_core.model.convert`. Code of PANNs: MIT; weights: CC-BY-4.0.

Shapes: B clips, T frames, M mels, C channels of the first block.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

NUM_BLOCKS = 6


class Cnn14Config(PreTrainedConfig):
    """`width` is C: each of the six blocks doubles it, so that the vector has 32 C numbers (2048 at 64)."""

    model_type = "cnn14"

    def __init__(
        self,
        width: int = 64,
        num_mel_bins: int = 64,
        block_dropout: float = 0.2,
        vector_dropout: float = 0.5,
        **kwargs: Any,
    ) -> None:
        self.width, self.num_mel_bins = width, num_mel_bins
        self.block_dropout, self.vector_dropout = block_dropout, vector_dropout
        super().__init__(**kwargs)

    @property
    def hidden_size(self) -> int:
        return int(self.width * 2 ** (NUM_BLOCKS - 1))


class ConvBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm, then an average over `pool` x `pool`."""

    def __init__(self, inner: int, outer: int, pool: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outer, outer, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outer), nn.BatchNorm2d(outer)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x))))))
        return functional.avg_pool2d(x, self.pool) if self.pool > 1 else x


class Cnn14(PreTrainedModel):
    """Six convolutional blocks, the mean over frequency, maximum and mean over time, one layer."""

    config: Cnn14Config
    config_class = Cnn14Config
    base_model_prefix = "cnn14"
    main_input_name = "input_features"

    def __init__(self, config: Cnn14Config) -> None:
        super().__init__(config)
        self.bn0 = nn.BatchNorm2d(config.num_mel_bins)
        widths = [1, *(config.width * 2**block for block in range(NUM_BLOCKS))]
        for block in range(NUM_BLOCKS):
            pool = 2 if block < NUM_BLOCKS - 1 else 1
            self.add_module(f"conv_block{block + 1}", ConvBlock(widths[block], widths[block + 1], pool))
        self.fc1 = nn.Linear(config.hidden_size, config.hidden_size)
        self.post_init()

    def forward(self, input_features: Tensor) -> BaseModelOutputWithPooling:
        """Log-mel [B, 1, T, M] in dB -> `pooler_output` [B, 32 C]."""
        x = self.bn0(input_features.transpose(1, 3)).transpose(1, 3)
        for block in range(NUM_BLOCKS):
            x = getattr(self, f"conv_block{block + 1}")(x)
            x = functional.dropout(x, self.config.block_dropout, self.training)
        over_time = torch.mean(x, dim=3)
        x = over_time.amax(2) + over_time.mean(2)
        x = functional.relu(self.fc1(functional.dropout(x, self.config.vector_dropout, self.training)))
        return BaseModelOutputWithPooling(
            pooler_output=functional.dropout(x, self.config.vector_dropout, self.training)
        )


AutoConfig.register(Cnn14Config.model_type, Cnn14Config)
AutoModel.register(Cnn14Config, Cnn14)
