"""Which data is read, how it is split, and what captions say."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class IngestConfig:
    """Which listening events of LFM-2b are read. A run holds every kept pair of user and track in memory.

    Attributes:
        lfm_user_fraction: share of the users that take part, by the hash of their id and `seed`.
        lfm_since: a date, `2020-01-01`; earlier events are left out.
    """

    lfm_user_fraction: float = 1.0
    lfm_since: str | None = None
    seed: int = 42


@dataclass(frozen=True)
class SplitConfig:
    """Cold-start split. `policy` per dataset, see `larp_core.data.split.cold_start`.

    Attributes:
        playlist_fractions, track_fractions: train, valid, test shares of the hash range.
        min_tracks: playlists with fewer tracks, after tracks of other splits are taken out, are dropped.
        max_tracks: valid and test playlists are cut to this many.
        seed_fraction: the share of a valid/test playlist's tracks shown to the recommender; the rest are targets.
        twins: songs on both sides of the split under different uris are counted, or taken out of valid and test.
    """

    policy: tuple[tuple[str, str], ...] = (
        ("mpd", "sampled_tracks"),
        ("lfm", "sampled_tracks"),
        ("own", "sampled_tracks"),
    )
    seed: int = 42
    playlist_fractions: tuple[float, float, float] = (0.3, 0.3, 0.4)
    track_fractions: tuple[float, float, float] = (0.5, 0.2, 0.3)
    min_tracks: int = 8
    max_tracks: int = 100
    seed_fraction: float = 0.5
    twins: Literal["report", "exclude"] = "report"

    def policy_for(self, dataset: str) -> str:
        return dict(self.policy).get(dataset, "paper")


SOUND_FIELDS = ("tempo", "key", "mode", "loudness", "brightness")
"""What captions can say of a clip's sound, see `larp_core.audio.clips.sound_fields`."""


@dataclass(frozen=True)
class CaptionConfig:
    """`template` has the named fields `track`, `artist` and `album`, and `SOUND_FIELDS`, computed from the clip."""

    template: str = "The track {track} by {artist} on album {album}"

    @property
    def needs_clips(self) -> bool:
        """Whether the template names a field that is computed from the clip. A malformed one is refused elsewhere."""
        try:
            return any(name in SOUND_FIELDS for _, name, _, _ in string.Formatter().parse(self.template))
        except ValueError:
            return False


@dataclass(frozen=True)
class SpotifyConfig:
    """How Spotify is asked for names and lengths, where the user has turned that on (`LARP_SPOTIFY`).

    Attributes:
        batch_size: tracks in a call, where the app may ask for several; Spotify takes 50 at most.
        seconds_between_calls: the pace, over all processes; jittered by half.
        timeout_seconds: the longest silence of the server.
        first_pause_seconds: after a refusal or failure that gives no time; doubled from one to the next.
        max_pause_seconds: longer pauses, asked for or not, are cut to this.
        max_wait_seconds: the longest pause that a run sits out; what is left then is for the next run.
    """

    batch_size: int = 50
    seconds_between_calls: float = 0.35
    timeout_seconds: float = 20.0
    first_pause_seconds: float = 5.0
    max_pause_seconds: float = 24 * 3600.0
    max_wait_seconds: float = 600.0
