"""Looking up tracks at Spotify: in batches where the app may, one by one where it may not, and never the same twice.

Off unless LARP_SPOTIFY is set. Spotify's terms forbid training models on its content, and what is looked up here ends
in captions that models are trained on: whoever turns it on answers for that.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from larp_core.config import SpotifyConfig
from larp_core.data.spotify.answers import SpotifyAnswers
from larp_core.data.spotify.client import SpotifyClient, SpotifyRefused
from larp_core.runtime.pacing import Answer, Gate
from larp_core.runtime.progress import Progress

NO_SUCH_TRACK = (400, 404)
NO_BATCHES = (403, 404, 405, 410)
"""What an app that may not ask for several tracks at once is answered: 403 today."""

MAX_FAILURES_IN_A_ROW = 10
MAX_FORBIDDEN_IN_A_ROW = 3

logger = logging.getLogger(__name__)


@dataclass
class Lookup:
    """One run's look-ups: calls made, tracks left to a later run and why.

    Args:
        gate: pace and pauses, shared by all processes and kept on disk.
    """

    client: SpotifyClient
    answers: SpotifyAnswers
    gate: Gate
    config: SpotifyConfig
    num_calls: int = 0
    num_left: int = 0
    why_left: str = ""
    _alone: set[str] = field(default_factory=set)
    _failures_in_a_row: int = 0
    _forbidden_in_a_row: int = 0

    def ask_for(self, track_uris: Sequence[str]) -> None:
        """Asks for what is not known yet, until all is, or until that would take longer than a run should wait.

        Raises:
            UserError: Spotify refuses the credentials, or the answers can't be kept.
        """
        waiting = deque(self._unknown(track_uris))
        with Progress(len(waiting), "track", part="Spotify") as progress:
            while waiting and self._may_go_on():
                self.gate.wait(waiting[0])
                with self.answers.turn():
                    some = self._unknown(self._next(waiting))  # another process may have asked meanwhile
                    if some:
                        self._ask(some)
                    waiting.extend(self._unknown(some))  # what failed goes to the end: the others need not wait for it
                progress.update(progress.total - len(waiting))
        self.num_left = len(waiting)
        if waiting:
            logger.warning("Spotify: %d tracks are left to the next run: %s", len(waiting), self.why_left)

    def _unknown(self, track_uris: Sequence[str]) -> list[str]:
        settled = self.answers.settled(track_uris)
        return [uri for uri in track_uris if uri not in settled]

    def _next(self, waiting: deque[str]) -> list[str]:
        """Takes a batch, or one track where the app may not ask for more or the batch that it was in failed."""
        some = [waiting.popleft()]
        if some[0] in self._alone or self.answers.refuses_batches(self.client.app):
            return some
        while waiting and waiting[0] not in self._alone and len(some) < self.config.batch_size:
            some.append(waiting.popleft())
        return some

    def _may_go_on(self) -> bool:
        pause = self.gate.paused_until - time.time()
        if self._forbidden_in_a_row >= MAX_FORBIDDEN_IN_A_ROW:
            return False
        if pause > self.config.max_wait_seconds or self._failures_in_a_row >= MAX_FAILURES_IN_A_ROW:
            self.why_left = self.gate.notice or self.why_left
            return False
        if pause > 0:
            logger.warning("%s", self.gate.notice)
        return True

    def _ask(self, some: list[str]) -> None:
        """One call, and what came of it kept."""
        self.num_calls += 1
        try:
            bodies = self.client.tracks(some) if len(some) > 1 else [self.client.track(some[0])]
        except SpotifyRefused as refusal:
            return self._refused(some, refusal)
        self._answered(some)
        self.answers.record(dict(zip(some, bodies, strict=True)))

    def _answered(self, some: list[str]) -> None:
        self._failures_in_a_row = self._forbidden_in_a_row = 0
        self.gate.heard(Answer("ok"), some[0])

    def _refused(self, some: list[str], refusal: SpotifyRefused) -> None:
        is_batch = len(some) > 1
        if is_batch and refusal.status in NO_BATCHES:
            logger.info(
                "Spotify: this app may not ask for several tracks at once (%s): one by one from now on", refusal
            )
            return self.answers.remember_refused_batches(self.client.app)
        if is_batch and refusal.status == 400:
            return self._alone.update(some)  # one of them is no id
        if refusal.status in NO_SUCH_TRACK:
            self._answered(some)
            return self.answers.record({some[0]: None})
        self.why_left = str(refusal)
        self._failures_in_a_row += 1
        if refusal.may_be_the_tracks:
            self._alone.update(some)
            if not is_batch:
                self.answers.record_error(some[0])
        if refusal.status == 403:
            self._forbidden_in_a_row += 1
            return None
        # Failures are waited out as refusals are, whichever track it was: doubling from one to the next.
        paused = Answer("rate_limited", str(refusal), retry_after_seconds=refusal.retry_after_seconds)
        return self.gate.heard(paused, some[0])
