"""Spotify's Web API, two of its calls: one track, and several at once. Terms and switch: `spotify_lookup`.

spotipy signs and sends; whether and when to ask again is decided in `spotify_lookup`. Id, secret and token stay in
memory: spotipy's own logs, which show headers, are off, its token file is not used, and no error's text is passed on.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

import requests
import spotipy
from spotipy.cache_handler import MemoryCacheHandler
from spotipy.oauth2 import SpotifyClientCredentials, SpotifyOauthError

from larp_core.config import SpotifyConfig
from larp_core.config.environment import SpotifyCredentials
from larp_core.runtime.errors import UserError
from larp_core.runtime.pacing import retry_after_seconds

API_URL = "https://api.spotify.com/v1/"
TOKEN_URL = "https://accounts.spotify.com/api/token"
MAX_REASON_CHARS = 200
SHORTEST_RETRY_SECONDS = 1.0


class SpotifyRefused(Exception):
    """A call without a usable answer. The message is fit to be shown.

    Attributes:
        status: of HTTP; None where no answer came, or one that makes no sense.
        may_be_the_tracks: whether the cause may lie in the track: the call itself was answered.
        retry_after_seconds: how long the server asks to be left alone, where it says so.
    """

    def __init__(
        self,
        reason: str,
        status: int | None = None,
        retry_after_seconds: float | None = None,
        may_be_the_tracks: bool = True,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.may_be_the_tracks = may_be_the_tracks and status != 429
        self.retry_after_seconds = retry_after_seconds


class SpotifyClient:
    """Calls of one app, by the client credentials flow. Nothing is retried but a token that has run out."""

    def __init__(self, credentials: SpotifyCredentials, config: SpotifyConfig) -> None:
        logging.getLogger("spotipy").setLevel(logging.CRITICAL)
        self._secrets = (credentials.client_id, credentials.client_secret)
        self._response: requests.Response | None = None
        session = requests.Session()
        session.hooks["response"].append(self._note)
        self._token = MemoryCacheHandler()
        manager = SpotifyClientCredentials(
            *self._secrets,
            requests_session=session,
            requests_timeout=config.timeout_seconds,
            cache_handler=self._token,
        )
        manager.OAUTH_TOKEN_URL = TOKEN_URL
        # A session of our own has none of spotipy's retries, which sleep for as long as a server says, up to a day.
        self._spotify = spotipy.Spotify(
            auth_manager=manager,
            requests_session=session,
            requests_timeout=config.timeout_seconds,
            retries=0,
            status_retries=0,
        )
        self._spotify.prefix = API_URL

    @property
    def app(self) -> str:
        """Stands for the app in files that outlive the run; its id can't be told from it."""
        return hashlib.sha256(f"larp:{self._secrets[0]}".encode()).hexdigest()[:16]

    def track(self, track_id: str) -> dict[str, Any]:
        """Raises SpotifyRefused, with status 404 or 400 where there is no such track; UserError as `_ask`."""
        return self._ask(lambda: self._spotify.track(track_id))

    def tracks(self, track_ids: Sequence[str]) -> list[dict[str, Any] | None]:
        """In the order of the ids, None where there is no such track. Raises as `track`."""
        found = self._ask(lambda: self._spotify.tracks(track_ids)).get("tracks")
        if not isinstance(found, list) or len(found) != len(track_ids):
            raise SpotifyRefused("an answer to a batch that holds not one entry a track")
        return [track if isinstance(track, dict) else None for track in found]

    def _ask(self, call: Callable[[], Any]) -> dict[str, Any]:
        """The answer's JSON object.

        Raises:
            SpotifyRefused: any other end.
            UserError: the id and secret, or the token that they brought, are refused.
        """
        for is_last in (False, True):
            self._response = None
            try:
                answer = call()
            except SpotifyOauthError:
                if self._status in (400, 401, 403):
                    raise self._refused_credentials() from None
                raise self._refused("", may_be_the_tracks=False) from None
            except Exception as error:  # whatever spotipy makes of an odd answer
                if self._status == 401 and not is_last:
                    self._token.token_info = None
                    continue
                if self._status == 401:
                    raise self._refused_credentials() from None
                raise self._refused(type(error).__name__) from None
            if isinstance(answer, dict):
                return answer
            break
        raise self._refused("no JSON object")

    def _note(self, response: requests.Response, **_: Any) -> None:
        self._response = response

    @property
    def _status(self) -> int | None:
        return None if self._response is None else self._response.status_code

    def _refused(self, reason: str, may_be_the_tracks: bool = True) -> SpotifyRefused:
        response = self._response
        if response is None:
            return SpotifyRefused(f"no answer ({reason})", may_be_the_tracks=False)
        if response.ok:
            return SpotifyRefused(f"an answer that can't be read ({reason})")
        seconds = retry_after_seconds(response.headers.get("Retry-After"))
        if seconds is not None and seconds < SHORTEST_RETRY_SECONDS:
            seconds = None  # "at once" is no answer to "too many requests"
        reason = f"HTTP {response.status_code}{self._said(response)}"
        return SpotifyRefused(reason, response.status_code, seconds, may_be_the_tracks)

    def _refused_credentials(self) -> UserError:
        said = self._said(self._response) if self._response is not None else ""
        return UserError(
            f"SPOTIPY_CLIENT_ID, SPOTIPY_CLIENT_SECRET: Spotify refuses them (HTTP {self._status}{said}); "
            "correct them, or unset LARP_SPOTIFY"
        )

    def _said(self, response: requests.Response) -> str:
        """`, <the server's own words>`, if it has any: `{"error": {"message": ...}}` or `{"error": "..."}`."""
        try:
            error = response.json()["error"]
            text = str(error["message"] if isinstance(error, dict) else error)
        except (ValueError, KeyError, TypeError):
            return ""
        for secret in (*self._secrets, str((self._token.token_info or {}).get("access_token") or "")):
            text = text.replace(secret, "***") if secret else text
        words = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
        return f", {words[:MAX_REASON_CHARS]}" if words else ""
