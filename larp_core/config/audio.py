"""How audio is got, and which clips are cut from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class AcquireConfig:
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

    duration_tolerance_seconds: float = 5.0
    search_results: int = 5
    search_seconds_between_tracks: float = 12.0
    url_seconds_between_tracks: float = 0.0
    sleep_between_requests_seconds: float = 0.75
    max_bytes_per_second: int | None = None
    download_seconds: float = 600.0
    socket_timeout_seconds: float = 20.0
    first_pause_seconds: float = 300.0
    max_pause_seconds: float = 6 * 3600.0
    backoff_seconds: float = 20.0
    max_backoff_seconds: float = 3600.0
    max_wait_seconds: float = 600.0


@dataclass(frozen=True)
class ClipConfig:
    """Where clips are cut.

    Attributes:
        offsets: `uniform` between the margins, as in the `released_code`, without margins, or those that the authors
            published (`paper_lists`, in LARP_PAPER_LISTS_DIR), `uniform` for other tracks.
        clips_per_track: training hears one of a track's clips an epoch; an embedding is the mean over all of them.
    """

    clip_seconds: float = 10.0
    sample_rate_hz: int = 48_000
    margin_seconds: float = 20.0
    offsets: Literal["uniform", "released_code", "paper_lists"] = "uniform"
    clips_per_track: int = 1
    seed: int = 42
