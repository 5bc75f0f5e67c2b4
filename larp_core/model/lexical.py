"""The words of a caption as a bag: what contrast alone forgets, added to the text tower's vector (`text.lexical`).

A small tower's CLS vector tells few captions apart, and contrast on few playlists can't mend that. A bag of random word
vectors, weighed by rarity, keeps almost all of TF-IDF's cosines (Johnson and Lindenstrauss 1984) from the first step,
for names that train has never seen too, and contrast moves the vectors of the words that it knows.

Shapes: B captions, L tokens, D width, V tokens of the vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FIRST_GATE = 0.3
"""Length of the tower's vector beside that of the words, which is one, before training."""


class LexicalBag(nn.Module):
    """One learned vector a token, summed with weights that are fixed before training.

    Attributes:
        weights: float32 [V], log((1 + N) / (1 + n)) of a token that n of N train captions hold: 0 for what stands in
            all of them, the template's words and the special tokens. All one until `weigh` is called.
        gate: a scalar, how much the tower adds.
    """

    weights: Tensor

    def __init__(self, vocab_size: int, width: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(vocab_size, width)
        self.gate = nn.Parameter(torch.empty(1))
        self.register_buffer("weights", torch.ones(vocab_size))
        self.reset()

    def reset(self) -> None:
        """Draws the vectors: nearly orthogonal, of length about one."""
        nn.init.normal_(self.vectors.weight, std=self.vectors.embedding_dim**-0.5)
        nn.init.constant_(self.gate, FIRST_GATE)

    @torch.no_grad()
    def weigh(self, input_ids: Tensor, attention_mask: Tensor) -> None:
        """Sets the weights by captions [N, L]; rows without a token, tracks without a caption, don't count."""
        shown = attention_mask.bool()
        held = torch.zeros(len(input_ids), len(self.weights), dtype=torch.bool)
        held[torch.nonzero(shown)[:, 0], input_ids[shown]] = True
        num_captions = int(shown.any(1).sum())
        self.weights.copy_(torch.log((1.0 + num_captions) / (1.0 + held.sum(0))))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, tower_BD: Tensor) -> Tensor:
        """Unit vectors of the words [B, D] plus `gate` times the tower's, made unit vectors too; not normalised."""
        weights_BL = self.weights[input_ids] * attention_mask
        words_BD = torch.einsum("bl,bld->bd", weights_BL, self.vectors(input_ids))
        return F.normalize(words_BD.float(), dim=-1) + self.gate * F.normalize(tower_BD.float(), dim=-1)
