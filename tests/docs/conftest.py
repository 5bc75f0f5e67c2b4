"""The modules that write the reference are importable, as they are for mkdocs."""

from __future__ import annotations

import sys

from places import ROOT

sys.path.insert(0, str(ROOT / "docs"))
