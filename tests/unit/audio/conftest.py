"""Audio files that several tests need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from audio_files import chirp, write_audio
from hostile_server import HostileServer, hostile_server

from larp_core.runtime import workers


@pytest.fixture(scope="session", autouse=True)
def few_items_in_this_process() -> Iterator[None]:
    """Else most of these tests' time would go into starting processes. Those about processes set it back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "ISOLATES", False)
        yield


@pytest.fixture(scope="session")
def mp3_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], Path]:
    """A mono MP3 of so many seconds at 22,050 Hz and 64 kbit/s, made once."""
    folder = tmp_path_factory.mktemp("mp3")

    def make(seconds: float) -> Path:
        path = folder / f"{seconds:g}.mp3"
        return path if path.exists() else write_audio(path, chirp(seconds, 22_050, 1), 22_050, b="64k")

    return make


@pytest.fixture
def server(mp3_of: Callable[[float], Path]) -> Iterator[HostileServer]:
    with hostile_server(mp3_of(3.0).read_bytes()) as running:
        yield running
