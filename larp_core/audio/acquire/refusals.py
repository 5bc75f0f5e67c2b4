"""What yt-dlp's errors mean: a status of the ledger, a reason fit to be shown, and how long to wait."""

from __future__ import annotations

import re

from larp_core.audio.acquire.sources import Outcome
from larp_core.runtime.pacing import retry_after_seconds

MAX_REASON_CHARS = 300
URL = re.compile(r"\b([a-z][a-z0-9+.-]*://)(?:[^\s/?#]*@)?([^\s?#'\"]*)(?:[?#][^\s'\"]*)?", re.IGNORECASE)
QUERY = re.compile(r"\?[^\s'\"]*=[^\s'\":]*")

SPOKEN_WAIT = re.compile(r"\b(?:for up to|for|in|after) (an?|[0-9]{1,4}) (second|minute|hour|day)")
SECONDS_OF = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}

STATUS_OF_HTTP = {401: "age_gated", 404: "not_found", 410: "removed", 429: "rate_limited", 451: "geo_blocked"}
STATUS_OF_PHRASE = {
    "not a bot": "bot_check",
    "captcha": "bot_check",
    "rate-limited": "rate_limited",
    "too many requests": "rate_limited",
    "confirm your age": "age_gated",
    "age-restricted": "age_gated",
    "inappropriate for some users": "age_gated",
    "available in your country": "geo_blocked",
    "your location": "geo_blocked",
    "geo restrict": "geo_blocked",
    "has been removed": "removed",
    "been terminated": "removed",
    "private video": "removed",
    "no longer available": "removed",
    "video unavailable": "removed",
    "unsupported url": "not_found",
    "no video formats found": "not_found",
    "requested format is not available": "not_found",
    "drm protected": "not_found",
    "members-only": "removed",
}
"""The first phrase in yt-dlp's message decides; what no phrase knows is an `error`, which is tried again."""


def refusal_of(error: Exception) -> Outcome:
    """The typed outcome of a yt-dlp error: by its kind where it has one, else by the words of the message."""
    from yt_dlp.networking.exceptions import HTTPError
    from yt_dlp.utils import GeoRestrictedError

    from larp_core.audio.acquire.guarded import Refused

    detail = redacted(str(error).removeprefix("ERROR: ").split("; please report this issue")[0])[:MAX_REASON_CHARS]
    for cause in _causes(error):
        if isinstance(cause, Refused):
            return Outcome("not_found", detail=detail)
        if isinstance(cause, GeoRestrictedError):
            return Outcome("geo_blocked", detail=detail)
        if isinstance(cause, HTTPError) and cause.status in STATUS_OF_HTTP:
            seconds = retry_after_seconds(cause.response.get_header("Retry-After"))
            return Outcome(STATUS_OF_HTTP[cause.status], detail=detail, retry_after_seconds=seconds)
    words = detail.lower().replace("’", "'")
    status = next((status for phrase, status in STATUS_OF_PHRASE.items() if phrase in words), "error")
    seconds = spoken_seconds(words) if status in ("rate_limited", "bot_check") else None
    return Outcome(status, detail=detail, retry_after_seconds=seconds)


def redacted(text: str) -> str:
    """A message whose URLs, even cut short, show neither user and password nor query: they may hold secrets."""
    return QUERY.sub("", URL.sub(r"\1\2", text))


def spoken_seconds(words: str) -> float | None:
    """How long a refusal lasts by its own words, YouTube's "for up to an hour"; None where they say none."""
    if (match := SPOKEN_WAIT.search(words)) is None:
        return None
    count, unit = match.groups()
    return (1.0 if count in ("a", "an") else float(count)) * SECONDS_OF[unit]


def _causes(error: BaseException | None) -> list[BaseException]:
    """The chain of errors inside a yt-dlp error: it keeps them as `exc_info` or `cause`."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        inner = (getattr(error, "exc_info", None) or (None, None))[1]
        error = inner if inner not in (None, error) else getattr(error, "cause", None) or error.__cause__
    return chain
