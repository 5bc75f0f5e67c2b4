"""State dicts with the names and shapes of published checkpoints, and forward passes over them in plain torch.

Written from the architectures' definitions (HTS-AT: Chen et al. 2022 after Swin; ALBEF's BERT), sharing no code with
the models under test.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

State = dict[str, Tensor]

SPEC, BINS, WINDOW, PATCH = 256, 64, 8, 4
DEPTHS, HEADS, WIDTH = (2, 2, 1, 1), (1, 2, 4, 8), 8
BERT_LAYERS, BERT_WIDTH, BERT_VOCABULARY, HEAD_WIDTH = 2, 128, 40, 64


def linear(state: State, name: str, outputs: int, inputs: int, bias: bool = True) -> None:
    state[f"{name}.weight"] = torch.randn(outputs, inputs) / math.sqrt(inputs)
    if bias:
        state[f"{name}.bias"] = 0.1 * torch.randn(outputs)


def norm(state: State, name: str, width: int) -> None:
    state[f"{name}.weight"], state[f"{name}.bias"] = 1 + 0.1 * torch.randn(width), 0.1 * torch.randn(width)


def htsat_state(prefix: str, seed: int = 0, mel_filters: Tensor | None = None) -> State:
    """HTS-AT as its author saves it, classifier, spectrogram and buffers included."""
    torch.manual_seed(seed)
    state: State = {}
    state["spectrogram_extractor.stft.conv_real.weight"] = torch.randn(513, 1, 1024)
    state["spectrogram_extractor.stft.conv_imag.weight"] = torch.randn(513, 1, 1024)
    state["logmel_extractor.melW"] = torch.rand(513, BINS) if mel_filters is None else mel_filters
    norm(state, "bn0", BINS)
    state["bn0.running_mean"], state["bn0.running_var"] = torch.randn(BINS), 1 + torch.rand(BINS)
    state["bn0.num_batches_tracked"] = torch.tensor(7)
    state["patch_embed.proj.weight"] = torch.randn(WIDTH, 1, PATCH, PATCH) / PATCH
    state["patch_embed.proj.bias"] = 0.1 * torch.randn(WIDTH)
    norm(state, "patch_embed.norm", WIDTH)
    for layer, (depth, heads) in enumerate(zip(DEPTHS, HEADS, strict=True)):
        width, grid = WIDTH * 2**layer, SPEC // PATCH // 2**layer
        for block in range(depth):
            name = f"layers.{layer}.blocks.{block}"
            norm(state, f"{name}.norm1", width)
            norm(state, f"{name}.norm2", width)
            state[f"{name}.attn.relative_position_bias_table"] = torch.randn((2 * WINDOW - 1) ** 2, heads)
            state[f"{name}.attn.relative_position_index"] = torch.zeros(WINDOW**2, WINDOW**2, dtype=torch.long)
            linear(state, f"{name}.attn.qkv", 3 * width, width)
            linear(state, f"{name}.attn.proj", width, width)
            linear(state, f"{name}.mlp.fc1", 4 * width, width)
            linear(state, f"{name}.mlp.fc2", width, 4 * width)
            if block % 2 and grid > WINDOW:
                state[f"{name}.attn_mask"] = torch.zeros((grid // WINDOW) ** 2, WINDOW**2, WINDOW**2)
        if layer < len(DEPTHS) - 1:
            linear(state, f"layers.{layer}.downsample.reduction", 2 * width, 4 * width, bias=False)
            norm(state, f"layers.{layer}.downsample.norm", 4 * width)
    top = WIDTH * 2 ** (len(DEPTHS) - 1)
    norm(state, "norm", top)
    state["tscam_conv.weight"], state["tscam_conv.bias"] = torch.randn(5, top, 2, 3), torch.randn(5)
    linear(state, "head", 5, 5)
    return {prefix + key: value for key, value in state.items()}


def bert_state(prefix: str, seed: int = 1, cross_attention: bool = True) -> State:
    """ALBEF's BERT as LARP saves it: no token types, with cross attention that mode 'text' never calls."""
    torch.manual_seed(seed)
    state: State = {"embeddings.position_ids": torch.arange(64)[None]}
    state["embeddings.word_embeddings.weight"] = torch.randn(BERT_VOCABULARY, BERT_WIDTH)
    state["embeddings.position_embeddings.weight"] = torch.randn(64, BERT_WIDTH)
    norm(state, "embeddings.LayerNorm", BERT_WIDTH)
    for layer in range(BERT_LAYERS):
        for attention in ("attention", "crossattention") if cross_attention else ("attention",):
            name = f"encoder.layer.{layer}.{attention}"
            for part in ("self.query", "self.key", "self.value", "output.dense"):
                linear(state, f"{name}.{part}", BERT_WIDTH, BERT_WIDTH)
            norm(state, f"{name}.output.LayerNorm", BERT_WIDTH)
        linear(state, f"encoder.layer.{layer}.intermediate.dense", 96, BERT_WIDTH)
        linear(state, f"encoder.layer.{layer}.output.dense", BERT_WIDTH, 96)
        norm(state, f"encoder.layer.{layer}.output.LayerNorm", BERT_WIDTH)
    return {prefix + key: value for key, value in state.items()}


def own_filters() -> Tensor:
    """The pipeline's mel filters, as a checkpoint has them."""
    from larp_core.audio.mels.log_mel import mel_filters

    return torch.from_numpy(mel_filters()).float()


def larp_state(fusion: bool = True) -> State:
    """A LARP checkpoint's `model`: towers, projections, momentum copies, queues, tables and what BLIP left in it."""
    projection, num_tracks = 16, 11
    top = WIDTH * 2 ** (len(DEPTHS) - 1)
    state: State = {}
    for copy in ("", "_m"):
        state |= htsat_state(f"audio_encoder{copy}.", seed=5 if copy else 2, mel_filters=own_filters())
        state |= bert_state(f"text_encoder{copy}.", seed=6 if copy else 3)
        linear(state, f"audio_proj{copy}", projection, top)
        linear(state, f"text_proj{copy}", projection, BERT_WIDTH)
    state |= {
        "audio_queue": torch.randn(projection, 20),
        "text_queue": torch.randn(projection, 20),
        "queue_ptr": torch.zeros(1, dtype=torch.long),
        "temp": torch.tensor(0.07),
        "audio_features_all": torch.zeros(num_tracks, projection),
        "text_features_all": torch.zeros(num_tracks, projection),
    }
    linear(state, "itm_head", 2, BERT_WIDTH)
    state |= bert_state("text_decoder.bert.")
    linear(state, "text_decoder.cls.predictions.decoder", BERT_VOCABULARY, BERT_WIDTH)
    if fusion:
        for part in ("w_q", "w_k", "w_v"):
            linear(state, f"playlist_constructor.transformer_encoder.0.{part}", projection, projection, bias=False)
    return state


def layer_norm(state: State, name: str, x: Tensor, eps: float) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scale = (centred.square().mean(-1, keepdim=True) + eps).sqrt()
    return centred / scale * state[f"{name}.weight"] + state[f"{name}.bias"]


def apply(state: State, name: str, x: Tensor) -> Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def htsat_forward(state: State, mel: Tensor) -> Tensor:
    """Log-mel [B, 1, T, 64] -> the pooled latent [B, 8 x width]; `state` under HTS-AT's bare names."""
    mean, spread = state["bn0.running_mean"], (state["bn0.running_var"] + 1e-5).sqrt()
    x = (mel - mean) / spread * state["bn0.weight"] + state["bn0.bias"]
    x = F.interpolate(x, (4 * SPEC, BINS), mode="bicubic", align_corners=True)
    # Four stretches of 256 frames, one above the other: an image of 256 x 256.
    x = torch.cat([stretch.transpose(2, 3) for stretch in x.split(SPEC, dim=2)], dim=2)
    x = F.conv2d(x, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=PATCH)
    x = layer_norm(state, "patch_embed.norm", x.permute(0, 2, 3, 1), 1e-5)
    for layer, (depth, heads) in enumerate(zip(DEPTHS, HEADS, strict=True)):
        for block in range(depth):
            name = f"layers.{layer}.blocks.{block}"
            shift = WINDOW // 2 if block % 2 and x.shape[1] > WINDOW else 0
            x = x + window_attention(state, f"{name}.attn", layer_norm(state, f"{name}.norm1", x, 1e-5), heads, shift)
            hidden = F.gelu(apply(state, f"{name}.mlp.fc1", layer_norm(state, f"{name}.norm2", x, 1e-5)))
            x = x + apply(state, f"{name}.mlp.fc2", hidden)
        if layer < len(DEPTHS) - 1:
            corners = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
            x = layer_norm(state, f"layers.{layer}.downsample.norm", torch.cat(corners, -1), 1e-5)
            x = x @ state[f"layers.{layer}.downsample.reduction.weight"].T
    return layer_norm(state, "norm", x, 1e-5).mean((1, 2))


def window_attention(state: State, name: str, x: Tensor, heads: int, shift: int) -> Tensor:
    """One window and one head at a time. After the cyclic shift, only places that are neighbours in truth attend."""
    batch, grid, _, width = x.shape
    per_head = width // heads
    x = x.roll((-shift, -shift), (1, 2))
    qkv = apply(state, f"{name}.qkv", x).reshape(batch, grid, grid, 3, heads, per_head)
    region = torch.tensor([0 if p < grid - WINDOW else 1 if p < grid - shift else 2 for p in range(grid)])
    place = torch.cartesian_prod(torch.arange(WINDOW), torch.arange(WINDOW))
    apart = place[:, None] - place[None, :] + WINDOW - 1
    bias = state[f"{name}.relative_position_bias_table"][apart[..., 0] * (2 * WINDOW - 1) + apart[..., 1]]
    out = torch.zeros(batch, grid, grid, heads, per_head)
    for top in range(0, grid, WINDOW):
        for left in range(0, grid, WINDOW):
            tile = qkv[:, top : top + WINDOW, left : left + WINDOW].reshape(batch, WINDOW**2, 3, heads, per_head)
            kind = torch.stack([region[top + place[:, 0]], region[left + place[:, 1]]], 1)
            strangers = (kind[:, None] != kind[None, :]).any(-1) if shift else torch.zeros(WINDOW**2, WINDOW**2) > 0
            for head in range(heads):
                q, k, v = (tile[:, :, part, head] for part in range(3))
                scores = q @ k.transpose(1, 2) / math.sqrt(per_head) + bias[..., head]
                attended = scores.masked_fill(strangers, float("-inf")).softmax(-1) @ v
                out[:, top : top + WINDOW, left : left + WINDOW, head] = attended.reshape(
                    batch, WINDOW, WINDOW, per_head
                )
    return apply(state, f"{name}.proj", out.flatten(3)).roll((shift, shift), (1, 2))


def bert_forward(state: State, ids: Tensor, mask: Tensor) -> Tensor:
    """Token ids [B, L] -> the CLS vector; `state` under the names within `text_encoder`."""
    x = state["embeddings.word_embeddings.weight"][ids] + state["embeddings.position_embeddings.weight"][: ids.shape[1]]
    x = layer_norm(state, "embeddings.LayerNorm", x, 1e-12)
    for layer in range(BERT_LAYERS):
        name = f"encoder.layer.{layer}"
        parts = [apply(state, f"{name}.attention.self.{part}", x) for part in ("query", "key", "value")]
        heads = []
        for first in range(0, BERT_WIDTH, HEAD_WIDTH):
            q, k, v = (part[..., first : first + HEAD_WIDTH] for part in parts)
            scores = (q @ k.transpose(1, 2) / math.sqrt(HEAD_WIDTH)).masked_fill(mask[:, None] == 0, float("-inf"))
            heads.append(scores.softmax(-1) @ v)
        attended = apply(state, f"{name}.attention.output.dense", torch.cat(heads, -1))
        x = layer_norm(state, f"{name}.attention.output.LayerNorm", x + attended, 1e-12)
        hidden = F.gelu(apply(state, f"{name}.intermediate.dense", x))
        x = layer_norm(state, f"{name}.output.LayerNorm", x + apply(state, f"{name}.output.dense", hidden), 1e-12)
    return x[:, 0]


def under(state: State, prefix: str) -> State:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
