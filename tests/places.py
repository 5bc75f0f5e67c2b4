"""Where tests find the checkout and, if a person has them, the real samples."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The checkout."""


def python_path(*helpers: str) -> str:
    """PYTHONPATH of a process that a test starts: the checkout, and folders below `tests/unit` with helper modules."""
    return os.pathsep.join(map(str, (ROOT, *(ROOT / "tests" / "unit" / name for name in helpers))))


def sample_folder() -> Path | None:
    """The real samples, `mpd/`, `lfm2b/`, `audio/` and so on, which are never part of the checkout; None where the
    variable LARP_TEST_DATA doesn't name them."""
    named = os.environ.get("LARP_TEST_DATA")
    return Path(named) if named else None
