"""Docstrings in Google's style as Markdown, and what they say of each name."""

from __future__ import annotations

import inspect
import re

SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises")
HEADING = re.compile(rf"^({'|'.join(SECTIONS)}):(.*)$")
ENTRY = re.compile(r"^((?:\w+(?:\(\w+\))?(?:\.\w+)*)(?:, \w+)*): (.*)$")


def split_docstring(docstring: str | None) -> tuple[str, dict[str, list[str]]]:
    """The text before the first section, and the lines of each section, with one level of indentation taken off."""
    text: list[str] = []
    sections: dict[str, list[str]] = {}
    lines = text
    for line in inspect.cleandoc(docstring or "").splitlines():
        if heading := HEADING.match(line):
            lines = sections.setdefault(heading[1], [])
            if heading[2].strip():
                lines.append(heading[2].strip())
        elif lines is not text and line and not line.startswith(" "):
            text.append("")  # prose after a section belongs to the text
            lines = text
            text.append(line)
        else:
            lines.append(line.removeprefix("    ") if lines is not text else line)
    return "\n".join(text).strip(), sections


def entries(lines: list[str]) -> dict[str, str]:
    """Of a section `name: what it is` with continuation lines: name, or names with commas, to one line of text."""
    found: dict[str, str] = {}
    name = ""
    for line in lines:
        entry = ENTRY.match(line)
        if entry and not line.startswith(" "):
            name = entry[1]
            found[name] = entry[2].strip()
        elif name and line.strip():
            found[name] += " " + line.strip()
    return found


def meanings(docstring: str | None) -> dict[str, str]:
    """What a class's docstring says of each of its attributes; one line for several names counts for each of them."""
    _, sections = split_docstring(docstring)
    listed = entries(sections.get("Attributes", []))
    return {name.strip(): said for names, said in listed.items() for name in names.split(",")}


def to_markdown(docstring: str | None) -> str:
    """The docstring as Markdown: its text, then a list for each section."""
    text, sections = split_docstring(docstring)
    parts = [escaped(text)]
    for title, lines in sections.items():
        listed = entries(lines)
        if listed:
            rows = [f"- `{name}`: {escaped(said)}" for name, said in listed.items()]
        else:
            rows = [escaped(" ".join(line.strip() for line in lines if line.strip()))]
        parts.append(f"**{title}**\n\n" + "\n".join(rows))
    return "\n\n".join(part for part in parts if part)


def escaped(text: str) -> str:
    """Markdown that shows signs of mark-up as they are; what stands between backticks is left alone."""
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(piece if piece.startswith("`") else _plain(piece) for piece in pieces)


def _plain(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", r"\*").replace("$", "&#36;")


def cell(text: object) -> str:
    """Text for a cell of a table: one line, its bars escaped."""
    return " ".join(str(text).split()).replace("|", r"\|")


def table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(map(cell, row)) + " |" for row in rows)])
