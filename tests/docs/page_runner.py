"""Runs a page's blocks in their order: Python in one namespace, commands in one shell's environment."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from doc_blocks import RUNNABLE, Block
from places import ROOT

SECONDS = 120


class PageRunner:
    """Runs blocks in `folder`, with `home` as the person's home folder.

    A variable that a block exports is there for the blocks after it, as in a person's terminal.
    """

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.namespace: dict[str, Any] = {"__name__": "page"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LARP_", "PYTEST_"))}
        bin_folder = str(Path(sys.executable).parent)
        self.environment = kept | {
            "HOME": str(home),
            "LARP_RECIPE": "smoke",
            "PATH": os.pathsep.join([bin_folder, kept.get("PATH", "")]),
            "PYTHONPATH": str(ROOT),
        }

    def run(self, block: Block) -> str:
        """What the block printed. Raises AssertionError, with its place, where it fails."""
        if block.reason or block.language not in RUNNABLE:
            return ""
        return self._python(block) if block.language == "python" else self._commands(block)

    def _python(self, block: Block) -> str:
        printed = io.StringIO()
        with working_in(self.folder), contextlib.redirect_stdout(printed):
            try:
                exec(compile(block.code, block.name, "exec"), self.namespace)
            except Exception as error:
                raise AssertionError(f"{block.name}: {type(error).__name__}: {error}") from error
        return printed.getvalue()

    def _commands(self, block: Block) -> str:
        after = self.folder / ".environment"
        script = f"set -euo pipefail\n{block.code}\nenv -0 > {shlex.quote(str(after))}\n"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{block.name}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        self.environment = dict(pair.split("=", 1) for pair in after.read_text().split("\0") if "=" in pair)
        after.unlink()
        return done.stdout


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """In that folder, from which a notebook would also import."""
    sys.path.insert(0, str(folder))
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        sys.path.remove(str(folder))
