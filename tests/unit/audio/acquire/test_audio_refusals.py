"""What errors mean, and that no secret of a URL is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from larp_core.audio.acquire.refusals import redacted, refusal_of


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("[youtube] x: Sign in to confirm you're not a bot. Use --cookies", "bot_check"),
        ("[youtube] x: Sign in to confirm you’re not a bot.", "bot_check"),
        ("[youtube] x: Sign in to confirm your age. This video may be inappropriate for some users.", "age_gated"),
        (
            "[youtube] x: Video unavailable. This content isn't available, try again later. rate-limited by",
            "rate_limited",
        ),
        ("[youtube] x: The uploader has not made this video available in your country", "geo_blocked"),
        ("[youtube] x: Private video. Sign in if you've been granted access", "removed"),
        ("[youtube] x: Video unavailable", "removed"),
        ("Unable to write data: No space left on device", "error"),
    ],
)
def test_messages_of_video_sites_are_typed(message: str, status: str) -> None:
    from yt_dlp.utils import DownloadError

    assert refusal_of(DownloadError(f"ERROR: {message}")).status == status


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Video unavailable. The current session has been rate-limited by YouTube for up to an hour. It is", 3_600.0),
        ("Too many requests, try again in 30 minutes", 1_800.0),
        ("rate-limited; try again later", None),
        ("[youtube] x: Private video for 3 days", None),
    ],
)
def test_a_refusal_in_words_says_how_long_it_lasts(message: str, seconds: float | None) -> None:
    from yt_dlp.utils import DownloadError

    assert refusal_of(DownloadError(f"ERROR: {message}")).retry_after_seconds == seconds


def test_redacting() -> None:
    text = "[generic] 'https://u:p@host/a.mp3?sig=1#x': HTTP Error 404: Not Found; mail me@host"
    assert redacted(text) == "[generic] 'https://host/a.mp3': HTTP Error 404: Not Found; mail me@host"


@given(st.text(max_size=60))
def test_redacting_never_fails(text: str) -> None:
    assert "secret" not in redacted(f"{text} http://secret@host/")
