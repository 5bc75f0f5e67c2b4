"""The fenced blocks of a page: commands and Python that a test runs, or says why it can't."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from places import ROOT

RUNNABLE = ("sh", "python")
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\s*$")
MARKER = re.compile(r"^\s*<!-- not run: (?P<reason>.+?) -->\s*$")


@dataclass(frozen=True)
class Block:
    """`reason` says why it isn't run; it is empty for a block that is."""

    page: Path
    line: int
    language: str
    code: str
    reason: str

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """The pages that a person reads in the repository or on the site, but for those written from the code."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks_of(page: Path) -> list[Block]:
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    number, reason = 0, ""
    while number < len(lines):
        line = lines[number]
        if marker := MARKER.match(line):
            reason = marker["reason"]
        elif fence := FENCE.match(line):
            end = next(n for n in range(number + 1, len(lines)) if lines[n].strip() == "```")
            code = textwrap.dedent("\n".join(lines[number + 1 : end]))
            found.append(Block(page, number + 1, fence["language"], code, reason))
            number, reason = end, ""
        elif line.strip():
            reason = ""
        number += 1
    return found
