"""The learning rate over a run."""

from __future__ import annotations

import math
from collections.abc import Callable

LARGEST_WARMUP_SHARE = 0.2


def cosine_with_warmup(warmup_steps: int, total_steps: int) -> Callable[[int], float]:
    """The learning rate's factor at a step: linear from 0 to 1, then half a cosine to 0 at `total_steps`.

    A run too short for the recipe's warm-up spends a fifth of its steps on it.
    """
    warmup = max(1, min(warmup_steps, int(total_steps * LARGEST_WARMUP_SHARE)))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total_steps - warmup))))

    return factor
