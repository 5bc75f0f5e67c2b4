"""Where clips begin: within the margins, uniformly, always the same; and as the released code has it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from larp_core.audio.clips.offsets import NoClip, start_of_clip
from larp_core.config import ClipConfig

CONFIG = ClipConfig()


@given(st.text(min_size=1, max_size=30), st.floats(0, 600), st.integers(0, 3))
def test_a_start_leaves_the_margins_it_can(uri: str, duration: float, seed: int) -> None:
    config = ClipConfig(seed=seed)
    start = start_of_clip(uri, duration, config)
    if isinstance(start, NoClip):
        assert duration < 10
        return
    margin = min(20.0, (duration - 10) / 2)
    assert margin - 0.001 <= start <= duration - 10 - margin + 1e-9
    assert start == start_of_clip(uri, duration, config)


def test_starts_are_uniform_between_the_margins() -> None:
    starts = np.array([start_of_clip(f"track {i}", 150.0, CONFIG) for i in range(4_000)])
    share, _ = np.histogram(starts, bins=10, range=(20, 120))
    assert share.sum() == 4_000
    assert share.min() > 330
    assert share.max() < 470
    other = np.array([start_of_clip(f"track {i}", 150.0, ClipConfig(seed=1)) for i in range(4_000)])
    assert abs(np.corrcoef(starts, other)[0, 1]) < 0.06


def test_the_released_code_starts_on_whole_seconds_or_not_at_all() -> None:
    config = ClipConfig(offsets="released_code", margin_seconds=0.0)
    assert start_of_clip("x", 10.0, config) == 0.0
    for duration in (
        9.9,
        10.5,
        11.0,
        11.9,
        31.0,
        31.99,
        221.5,
    ):  # floor((length - 11) % 10) is 0, or nothing to draw from
        assert isinstance(start_of_clip("x", duration, config), NoClip)
    starts = {start_of_clip(f"track {i}", 15.5, config) for i in range(200)}
    assert starts == {0.0, 1.0, 2.0, 3.0, 4.0}  # numpy's arange(0, 15.5 - 11)
    starts = {start_of_clip(f"track {i}", 15.0, config) for i in range(200)}
    assert starts == {0.0, 1.0, 2.0, 3.0}
