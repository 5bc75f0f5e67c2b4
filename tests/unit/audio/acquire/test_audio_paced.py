"""A source whose requests queue at a gate, which hears what came of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from larp_core.audio.acquire.paced import Paced
from larp_core.audio.acquire.sources import Outcome, Track
from larp_core.runtime import pacing
from larp_core.runtime.pacing import Gate


class _Refusing:
    name = "web"
    costs_requests = True
    bad_rows = ()

    def question(self, track: Track) -> str | Outcome:
        return track.track_uri or Outcome("not_found")

    def fetch(self, track: Track, folder: Path) -> Outcome:
        return Outcome("rate_limited", detail="HTTP Error 429", retry_after_seconds=30.0)


def test_a_paced_source_waits_and_tells_its_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    clock = SimpleNamespace(time=lambda: 1_000_000.0 + sum(slept), sleep=slept.append)
    monkeypatch.setattr(pacing, "time", clock)
    source = Paced(_Refusing(), Gate(tmp_path / "web.json"))
    assert source.fetch(Track(1, "x"), tmp_path).status == "rate_limited"
    assert source.fetch(Track(1, ""), tmp_path).status == "not_found"
    assert not slept  # what takes no request doesn't wait
    assert "HTTP Error 429" in source.gate.notice
    source.fetch(Track(1, "x"), tmp_path)
    assert sum(slept) == pytest.approx(30.0)
    assert (source.name, source.costs_requests) == ("web", True)
