"""One page to send around: `reports/report.html`, all tables and figures with what was run, what was not, and on what.

It is a single file: styles and pictures lie within, no script, no link to anything. The text is that of the Markdown
reports, in which raw HTML counts as text, so that no name of a song can become part of the page.
"""

from __future__ import annotations

import base64
import datetime
from pathlib import Path
from typing import NamedTuple

import polars as pl
from markdown_it import MarkdownIt
from markupsafe import Markup

from larp_core.config.encoders import SCORE_FILES
from larp_core.config.paths import DatasetPaths
from larp_core.config.settings import Settings
from larp_core.evaluation.names import DISPLAY_NAMES, dataset_title
from larp_core.evaluation.vectors import MISSING
from larp_core.report.html_page import render_page
from larp_core.runtime.files import hash_file, hash_of, write_text
from larp_core.runtime.report import Report

TABLES = ("table_1", "table_2", "table_3", "table_4", "differences", "list_metrics", "slices")
"""Stems of the Markdown files, in the order of the page."""
PICTURES = {
    "figure_3": "Figure 3: the tracks of one test playlist, drawn by hash, against all test tracks, on the two main "
    "axes of each encoder's vectors.",
    "figure_4": "Figure 4: Recall@10 against the number of tracks that stand for a playlist while the last stage is "
    "trained.",
    "figure_5": "Figure 5: validation Recall@10 by epoch, each stage from the best epoch of the one before; pale: "
    "epochs after the best.",
}
BY_HAND = {"figure_4": "not run: it is the job `sensitivity`, which trains the last stage again for each count"}
"""What the page shows only where somebody has asked for it."""


class Picture(NamedTuple):
    """A figure as the page holds it: what stands below it, and the PNG file in Base64."""

    caption: str
    data: str


def build_report_page(settings: Settings) -> Report:
    """Writes `reports/report.html` out of the reports that the other steps have written.

    Raises:
        FileNotFoundError: one of them is not there.
    """
    folder = settings.shared.reports
    not_run = [
        *_missing(settings),
        *(f"{name}: {why}" for name, why in BY_HAND.items() if not _picture_path(folder, name)),
    ]
    sections = [_as_html((folder / f"{name}.md").read_text(encoding="utf-8")) for name in TABLES]
    pictures = [(caption, path) for name, caption in PICTURES.items() if (path := _picture_path(folder, name))]
    page = folder / "report.html"
    text = render_page(
        "report.html.j2",
        title=f"LARP benchmark: {'; '.join(dataset_title(settings, dataset) for dataset in settings.datasets)}",
        is_demo=settings.is_demo,
        recipe=settings.recipe,
        today=datetime.datetime.now(datetime.UTC).date().isoformat(),
        fingerprints=[f"{name} {data_fingerprint(settings.paths(name))[:16]}" for name in settings.datasets],
        not_run=not_run,
        sections=sections,
        figures=[Picture(caption, base64.b64encode(path.read_bytes()).decode("ascii")) for caption, path in pictures],
    )
    write_text(text, page)
    facts = {"page": str(page), "size_bytes": page.stat().st_size, "num_not_run": len(not_run)}
    return Report(len(sections) + len(pictures), facts=facts)


def data_fingerprint(paths: DatasetPaths) -> str:
    """sha256 over what a dataset's scores rest on: playlists, tracks, interactions, split and held-out tracks."""
    files = (
        paths.playlists,
        paths.tracks,
        paths.interactions,
        paths.split_playlists,
        paths.split_tracks,
        paths.holdouts,
    )
    return hash_of([hash_file(path) for path in files])


def _missing(settings: Settings) -> list[str]:
    """Encoders without weights, with the reason, once for all datasets that give the same."""
    lines = []
    for name in SCORE_FILES:
        for dataset in settings.datasets:
            footer = pl.read_parquet_metadata(settings.paths(dataset).scores(name))
            if MISSING in footer:
                lines.append(f"{DISPLAY_NAMES[name]}: {footer[MISSING]}")
    return list(dict.fromkeys(lines))


def _as_html(text: str) -> Markup:
    """Markdown as HTML, one heading lower, since the page has a title of its own; raw HTML in it counts as text."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
    html = str(parser.renderer.render(tokens, parser.options, {}))
    # Tables of many columns scroll by themselves, not the page.
    return Markup(html.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>"))


def _picture_path(folder: Path, name: str) -> Path | None:
    path = folder / f"{name}.png"
    return path if path.exists() or name not in BY_HAND else None
