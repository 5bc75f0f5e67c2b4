"""The command line: what `larp --help` and `larp COMMAND --help` say."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager

from larp_core.cli.main import OVERVIEW, parser

INTRODUCTION = f"""\
# Command line

`larp` is there once `. ./activate.sh` has been sourced. `python -m larp_core` is the same program. With nothing behind
it, it says:

```text
{OVERVIEW}
```

The exit status is 0 where all is well, 1 where a check failed (`doctor` has something to fix, `cell` found another
figure), and 2 for a mistake that the printed line explains.
"""


def command_line_page() -> str:
    with _width(100):
        top = parser()
        parts = [INTRODUCTION]
        for name, command in _commands(top).items():
            parts.append(f"## `larp {name}`\n\n```text\n{command.format_help().rstrip()}\n```\n")
    return "\n".join(parts)


def _commands(top: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    [action] = [action for action in top._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(action.choices)


@contextmanager
def _width(columns: int) -> Iterator[None]:
    """argparse goes by the terminal, and the page should be the same in every one."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(columns)
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
