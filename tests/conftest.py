"""Fixtures of all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from places import sample_folder


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """The folder of real samples; without one the test is skipped."""
    folder = sample_folder()
    if folder is None or not folder.is_dir():
        pytest.skip("needs the real samples: set LARP_TEST_DATA to the folder that holds mpd/, lfm2b/ and audio/")
    return folder
