"""HTS-AT's attention within windows by PyTorch's fused kernel, on a CPU in fp32 where no gradient is asked for.

The momentum encoder and inference are spared the tables of scores. With a gradient the kernel doesn't serve: it gives
none for the bias by relative position, which is learned.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.models.clap.modeling_clap import ClapAudioEncoder, ClapAudioSelfAttention


class WindowAttention(ClapAudioSelfAttention):
    """An attention with weights of the same names."""

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        output_attentions: bool | None = False,
    ) -> tuple[Tensor]:
        """[B windows, tokens, width] -> the same; `attention_mask` [windows of a clip, tokens, tokens] is added."""
        if output_attentions or not self._is_served(hidden_states):
            plain: tuple[Tensor] = super().forward(hidden_states, attention_mask, output_attentions)
            return plain
        num_windows, tokens, width = hidden_states.shape
        masks = 1 if attention_mask is None else len(attention_mask)
        bias = self._bias(tokens) if attention_mask is None else self._bias(tokens) + attention_mask[:, None]
        # Windows that one mask serves lie along the batch; masks and heads share a dimension.
        split = (num_windows // masks, masks * self.num_attention_heads, tokens, self.attention_head_size)
        heads = (num_windows, tokens, self.num_attention_heads, self.attention_head_size)
        query, key, value = (
            layer(hidden_states).view(heads).transpose(1, 2).reshape(split)
            for layer in (self.query, self.key, self.value)
        )
        attended = F.scaled_dot_product_attention(query, key, value, bias.view(1, -1, tokens, tokens))
        return (attended.view(num_windows, -1, tokens, split[-1]).transpose(1, 2).reshape(num_windows, tokens, width),)

    def _bias(self, tokens: int) -> Tensor:
        """By relative position [1, heads, tokens, tokens]."""
        bias = self.relative_position_bias_table[self.relative_position_index.view(-1)]
        return bias.view(1, tokens, tokens, -1).permute(0, 3, 1, 2).contiguous()

    def _is_served(self, hidden_states: Tensor) -> bool:
        return (
            hidden_states.device.type == "cpu"
            and hidden_states.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
            and not torch.is_grad_enabled()
            and not (self.training and self.dropout.p)
        )


def use_window_attention(encoder: ClapAudioEncoder) -> None:
    """Has every block of HTS-AT take this attention."""
    for module in encoder.modules():
        if type(module) is ClapAudioSelfAttention:
            module.__class__ = WindowAttention
