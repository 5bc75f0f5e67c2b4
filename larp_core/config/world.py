"""Size and difficulty of the demo world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from larp_core.config.section import Count, Section, Seed, Share, Within


@dataclass(frozen=True)
class WorldConfig(Section, section="world"):
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

    seed: Seed = 7
    num_tracks: Annotated[int, Within(4, 1_000_000)] = 1500
    num_artists: Count = 75
    num_playlists: Annotated[int, Within(1, 1_000_000)] = 400
    num_listeners: Annotated[int, Within(1, 1_000_000)] = 400
    track_seconds: Annotated[float, Within(1, 3_600)] = 52.0
    playlist_length: tuple[Count, Count] = (45, 80)
    outlier_fraction: Share = 0.2
    max_themes: Count = 2
    caption_noise: Share = 0.4

    def check(self) -> None:
        """Raises UserError for a catalogue without a track for each artist, or lengths the wrong way round."""
        if self.num_artists > self.num_tracks:
            self.refuse("there may be no more artists than tracks", "num_artists", "num_tracks")
        if self.playlist_length[0] > self.playlist_length[1]:
            self.refuse("the fewest come first", "playlist_length")
