"""Where in a track its clip begins: drawn by a hash of the track's id, so that it is the same on every run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from larp_core.config import ClipConfig
from larp_core.data.hashing import hash_ids, unit_interval


@dataclass(frozen=True)
class NoClip:
    """Why a track has no clip."""

    reason: str


def start_of_clip(
    track_uri: str, duration_seconds: float, config: ClipConfig, listed_start: float | None = None
) -> float | NoClip:
    """Start in seconds; a whole number of milliseconds where it is drawn.

    `uniform` (LARP, section 4.1): between the margins. A track too short for them gets the widest equal margins that
    fit, which is its middle. `released_code`: the first of the published code's random choices, see `_released_start`.
    `paper_lists`: `listed_start` as it is, and as `uniform` for a track that is in no list.
    """
    if duration_seconds < config.clip_seconds:
        return NoClip(f"{duration_seconds:.2f} s of sound, a clip needs {config.clip_seconds:g} s")
    if listed_start is not None:
        if listed_start + config.clip_seconds <= duration_seconds:
            return listed_start
        return NoClip(f"{duration_seconds:.2f} s of sound, the listed clip begins at {listed_start:g} s")
    draw = float(unit_interval(hash_ids([track_uri], config.seed, "clip"))[0])
    if config.offsets == "released_code":
        return _released_start(draw, duration_seconds, config.clip_seconds)
    spare = duration_seconds - config.clip_seconds
    margin = min(config.margin_seconds, spare / 2)
    return math.floor(1000 * (margin + draw * (spare - 2 * margin))) / 1000


def _released_start(draw: float, duration_seconds: float, clip_seconds: float) -> float | NoClip:
    """The published code draws `floor((length - 11) % 10)` different starts from the whole seconds 0, 1, ... below
    `length - 11`, and cuts that many clips. We keep one a track: the first, which is uniform over those seconds. Where
    the count is 0, and between 10 and 11 s, it has no clip of the track, and neither do we.
    """
    if duration_seconds == clip_seconds:
        return 0.0
    last_seconds = duration_seconds - clip_seconds - 1
    if last_seconds <= 0 or last_seconds % 10 < 1:
        return NoClip(f"the released code cuts no clip of a track of {duration_seconds:.2f} s")
    return float(math.floor(draw * math.ceil(last_seconds)))
