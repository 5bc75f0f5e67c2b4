"""What mkdocs runs while it builds: pages of the reference are written from the code, the change log is taken over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from reference_pages.api_page import api_page
from reference_pages.command_line_page import command_line_page
from reference_pages.data_page import MARK, paths_tables
from reference_pages.graph_page import graph_page
from reference_pages.recipes_page import recipes_page
from reference_pages.settings_page import settings_page

ROOT = Path(__file__).resolve().parents[1]


def changelog_page() -> str:
    return (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


PAGES: dict[str, Callable[[], str]] = {
    "reference/settings.md": settings_page,
    "reference/recipes.md": recipes_page,
    "reference/graph.md": graph_page,
    "reference/command-line.md": command_line_page,
    "reference/python-api.md": api_page,
    "changelog.md": changelog_page,
}
"""Path below `docs/`: what writes it."""


def on_files(files: Files, config: Any) -> Files:
    for path, write in PAGES.items():
        files.append(File.generated(config, path, content=write()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    return markdown.replace(MARK, paths_tables()) if MARK in markdown else markdown
