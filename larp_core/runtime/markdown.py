"""Markdown for people: pipe tables and the numbers in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

SIGNS = re.compile(r"[\\\\|<&\[*`~]|(?<![^\W_])_|_(?![^\W_])")
"""What would make a song's name a link, a picture that a browser fetches, or half a table."""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A pipe table of cells that are Markdown themselves, for a file that is read as it is, too: the first column to
    the left, the others to the right, padded."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in [header, *rows]]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(header))]
    lines = [_line([_pad(cell, widths[i], i) for i, cell in enumerate(row)]) for row in cells]
    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


def table_of(rows: Sequence[Mapping[str, Any]], *, most: int, digits: int) -> str:
    """A pipe table of rows with the same fields, whose values may be anything and come out as text, whatever signs they
    hold; for a page. Numbers have `digits` that mean something; of more than `most` rows the others are counted."""
    if not rows:
        return "no rows"
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, ["---"] * len(columns)]
    lines += [[_text(row.get(name), digits) for name in columns] for row in rows[:most]]
    shown = "\n".join(map(_line, lines))
    hidden = len(rows) - most
    return shown if hidden <= 0 else f"{shown}\n\nand {hidden:,} more rows"


def number(value: float | None, decimals: int = 4) -> str:
    return "–" if value is None else f"{value:,.{decimals}f}"


def with_interval(value: float, low: float, high: float) -> str:
    return f"{value:.4f} [{low:.4f}, {high:.4f}]"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _pad(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column == 0 else cell.rjust(width)


def _text(value: Any, digits: int) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return SIGNS.sub(r"\\\g<0>", " ".join(str(value).splitlines()))
