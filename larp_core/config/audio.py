"""How audio is got, and which clips are cut from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from larp_core.config.section import Count, Seconds, Section, Seed, SomeSeconds, Within

CLIP_SECONDS, SAMPLE_RATE_HZ = 10.0, 48_000
"""What the audio towers hear, see `larp_core.audio.mels.log_mel`."""


@dataclass(frozen=True)
class AcquireConfig(Section, section="acquire"):
    """How audio is searched and downloaded, where the user has turned that on (`LARP_AUDIO_SOURCES`).

    Attributes:
        duration_tolerance_seconds: a found recording whose length is further from the catalogue's is another one.
        search_results: of a search, how many are looked at.
        search_seconds_between_tracks: the pace of searches, over all processes; 12 is YouTube's 300 an hour.
        url_seconds_between_tracks: the pace of downloads from a list of URLs.
        sleep_between_requests_seconds: between the requests that one searched track takes.
        max_bytes_per_second: of one download; None sets no limit.
        download_seconds, socket_timeout_seconds: the longest answer, and the longest silence within one.
        first_pause_seconds, max_pause_seconds: of a source that refuses and says not for how long; of any.
        backoff_seconds, max_backoff_seconds: before a track is tried again, doubled with each attempt.
        max_wait_seconds: how long a run stays for tracks to be tried again; the next run takes up what is left.
    """

    duration_tolerance_seconds: Seconds = 5.0
    search_results: Count = 5
    search_seconds_between_tracks: Seconds = 12.0
    url_seconds_between_tracks: Seconds = 0.0
    sleep_between_requests_seconds: Seconds = 0.75
    max_bytes_per_second: Count | None = None
    download_seconds: SomeSeconds = 600.0
    socket_timeout_seconds: SomeSeconds = 20.0
    first_pause_seconds: Seconds = 300.0
    max_pause_seconds: Seconds = 6 * 3600.0
    backoff_seconds: Seconds = 20.0
    max_backoff_seconds: Seconds = 3600.0
    max_wait_seconds: Seconds = 600.0


@dataclass(frozen=True)
class ClipConfig(Section, section="clip"):
    """Where clips are cut.

    Attributes:
        offsets: `uniform` between the margins, as in the `released_code`, without margins, or those that the authors
            published (`paper_lists`, in LARP_PAPER_LISTS_DIR), `uniform` for other tracks.
        clips_per_track: training hears one of a track's clips an epoch; an embedding is the mean over all of them.
    """

    clip_seconds: float = CLIP_SECONDS
    sample_rate_hz: int = SAMPLE_RATE_HZ
    margin_seconds: Seconds = 20.0
    offsets: Literal["uniform", "released_code", "paper_lists"] = "uniform"
    clips_per_track: Annotated[int, Within(1, 1_000)] = 1
    seed: Seed = 42

    def check(self) -> None:
        """Raises UserError for clips that the towers can't hear."""
        heard = f"the audio towers hear {CLIP_SECONDS:g} s at {SAMPLE_RATE_HZ // 1_000} kHz"
        for name, wanted in (("clip_seconds", CLIP_SECONDS), ("sample_rate_hz", SAMPLE_RATE_HZ)):
            if getattr(self, name) != wanted:
                self.refuse(f"{heard}, so it must be {wanted}", name)
