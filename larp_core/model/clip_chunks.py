"""HTS-AT's stages over a few clips at a time on a CPU.

The first stages hold 6 MB a clip in one tensor, and the C library gives memory of 32 MiB and more back to the system
each time: every such tensor is paid for with thousands of page faults. Clips do not meet after the batch norm over
mel bins, so that the numbers are the same but for rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.models.clap.modeling_clap import ClapAudioEncoder, ClapAudioStage

LARGEST_TENSOR = 32 * 2**20
BYTES_A_NUMBER = 4


class ChunkedStage(ClapAudioStage):
    """A stage with weights of the same names."""

    def forward(
        self,
        hidden_states: Tensor,
        input_dimensions: tuple[int, int],
        output_attentions: bool | None = False,
        always_partition: bool | None = False,
    ) -> tuple[Any, ...]:
        """[B, tokens, width] -> [B, fewer tokens, more width], the same before merging, and the four dimensions."""
        size = self._clips_at_a_time(hidden_states)
        if output_attentions or hidden_states.device.type != "cpu" or len(hidden_states) <= size:
            whole: tuple[Any, ...] = super().forward(
                hidden_states, input_dimensions, output_attentions, always_partition
            )
            return whole
        parts = [
            super(ChunkedStage, self).forward(clips, input_dimensions, False, always_partition)
            for clips in hidden_states.split(size)
        ]
        merged, before, dimensions = zip(*parts, strict=True)
        return torch.cat(merged), torch.cat(before), dimensions[0]

    def _clips_at_a_time(self, hidden_states: Tensor) -> int:
        """So many that the widest tensor, within the MLP, stays below the limit."""
        _, tokens, width = hidden_states.shape
        widest = BYTES_A_NUMBER * tokens * int(self.config.mlp_ratio * width)
        return max(1, (LARGEST_TENSOR - 1) // widest)


def use_chunks(encoder: ClapAudioEncoder) -> None:
    """Has every stage of HTS-AT take a few clips at a time."""
    for stage in encoder.layers:
        stage.__class__ = ChunkedStage
