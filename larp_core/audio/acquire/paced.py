"""A source of audio that keeps its pace, over all processes and datasets, and is left alone while it refuses."""

from __future__ import annotations

from pathlib import Path

from larp_core.audio.acquire.sources import AudioSource, Outcome, Track
from larp_core.runtime.pacing import Answer, Gate


class Paced:
    """A source whose requests queue at a gate; tracks that take no request pass by."""

    costs_requests = True

    def __init__(self, source: AudioSource, gate: Gate) -> None:
        self.name = source.name
        self.bad_rows = source.bad_rows
        self.source = source
        self.gate = gate

    def question(self, track: Track) -> str | Outcome:
        return self.source.question(track)

    def fetch(self, track: Track, folder: Path) -> Outcome:
        if isinstance(outcome := self.question(track), Outcome):
            return outcome
        self.gate.wait(track.track_uri)
        outcome = self.source.fetch(track, folder)
        self.gate.heard(Answer(outcome.status, outcome.detail, outcome.retry_after_seconds), track.track_uri)
        return outcome
