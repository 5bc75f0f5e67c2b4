"""Where in a track its clips begin: drawn by a hash of the track's id, so that it is the same on every run."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from larp_core.config import ClipConfig
from larp_core.runtime.hashing import hash_ids, unit_interval

GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class NoClip:
    """Why a track has no clip."""

    reason: str


def start_of_clip(
    track_uri: str, duration_seconds: float, config: ClipConfig, listed_start: float | None = None
) -> float | NoClip:
    """The first of a track's clips, which is the same whatever the number of them; see `starts_of_clips`."""
    starts = starts_of_clips(track_uri, duration_seconds, replace(config, clips_per_track=1), listed_start)
    return starts if isinstance(starts, NoClip) else starts[0]


def starts_of_clips(
    track_uri: str, duration_seconds: float, config: ClipConfig, listed_start: float | None = None
) -> list[float] | NoClip:
    """Starts in seconds, whole numbers of milliseconds where they are drawn; `clips_per_track` different ones, or as
    many as there are.

    `uniform` (LARP, section 4.1): between the margins. A track too short for them gets the widest equal margins that
    fit, which is its middle. Further clips follow the first, which is drawn, in golden steps around the range: each is
    as uniform, they lie well apart, and asking for more of them moves none. `released_code`: as many as the published
    code cuts, see `_released_starts`. `paper_lists`: `listed_start` alone and as it is; as `uniform` for a track that
    is in no list.
    """
    if duration_seconds < config.clip_seconds:
        return NoClip(f"{duration_seconds:.2f} s of sound, a clip needs {config.clip_seconds:g} s")
    if listed_start is not None:
        if listed_start + config.clip_seconds <= duration_seconds:
            return [listed_start]
        return NoClip(f"{duration_seconds:.2f} s of sound, the listed clip begins at {listed_start:g} s")
    if config.offsets == "released_code":
        return _released_starts(track_uri, duration_seconds, config)
    draw = _draw(track_uri, config, 0)
    spare = duration_seconds - config.clip_seconds
    margin = min(config.margin_seconds, spare / 2)
    places = [(draw + index * GOLDEN) % 1.0 for index in range(config.clips_per_track)]
    starts = (math.floor(1000 * (margin + place * (spare - 2 * margin))) / 1000 for place in places)
    return list(dict.fromkeys(starts))


def _released_starts(track_uri: str, duration_seconds: float, config: ClipConfig) -> list[float] | NoClip:
    """The published code draws `floor((length - 11) % 10)` different starts from the whole seconds 0, 1, ... below
    `length - 11`, and cuts that many clips; here, the first `clips_per_track` of them. Where the count is 0, and
    between 10 and 11 s, it has no clip of the track, and neither do we.
    """
    if duration_seconds == config.clip_seconds:
        return [0.0]
    last_seconds = duration_seconds - config.clip_seconds - 1
    if last_seconds <= 0 or last_seconds % 10 < 1:
        return NoClip(f"the released code cuts no clip of a track of {duration_seconds:.2f} s")
    left = list(range(math.ceil(last_seconds)))
    count = min(config.clips_per_track, math.floor(last_seconds % 10))
    return [float(left.pop(math.floor(_draw(track_uri, config, index) * len(left)))) for index in range(count)]


def _draw(track_uri: str, config: ClipConfig, index: int) -> float:
    """Uniform in [0, 1), of its own for each of a track's clips."""
    purpose = f"clip {index}" if index else "clip"
    return float(unit_interval(hash_ids([track_uri], config.seed, purpose))[0])
