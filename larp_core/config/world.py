"""Size and difficulty of the demo world."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WorldConfig:
    """Size and difficulty of the demo world (`larp_core.demo`).

    Attributes:
        num_tracks, num_artists: the catalogue that both demo datasets draw from.
        num_playlists, num_listeners: of the MPD and of the LFM side.
        track_seconds: shortest audio; each track lasts up to 6 s more. The clip's margins need 50 s.
        playlist_length: fewest and most different tracks of a playlist, or of what a listener hears. The split by
            tracks cuts each playlist to the tracks of its own split, so a test playlist keeps some 30% of these.
        outlier_fraction: share of a playlist's tracks that are drawn from the whole catalogue.
        max_themes: a playlist mixes one to this many themes.
        caption_noise: share of the words in names that tell nothing of genre or mood.
    """

    seed: int = 7
    num_tracks: int = 1500
    num_artists: int = 75
    num_playlists: int = 400
    num_listeners: int = 400
    track_seconds: float = 52.0
    playlist_length: tuple[int, int] = (45, 80)
    outlier_fraction: float = 0.2
    max_themes: int = 2
    caption_noise: float = 0.4
