"""One page to send around: `reports/report.html`, all tables and figures with what was run, what was not, and on what.

It is a single file: styles and pictures lie within, no script, no link to anything. The text is that of the Markdown
reports, in which raw HTML counts as text, so that no name of a song can become part of the page.
"""

from __future__ import annotations

import base64
import datetime
from html import escape
from pathlib import Path

import polars as pl

from larp_core.config.paths import DatasetPaths
from larp_core.evaluation.names import DISPLAY_NAMES, dataset_title
from larp_core.graph.job import Job, Report
from larp_core.report.html_page import html_page
from larp_core.report.ranked_rows import SCORED
from larp_core.report.score_table import MISSING
from larp_core.runtime.files import hash_file, hash_of, write_text

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

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --dim: #5c5c5c; --paper: #fff; --line: #ddd; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --dim: #a5a5a5; --paper: #171717; --line: #3a3a3a; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 76rem; padding: 0 1rem; }
h1 { line-height: 1.2; } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); } .dim { color: var(--dim); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:not(:first-child), td:not(:first-child) { text-align: right; } th { text-align: left; }
figure { margin: 2rem 0; } img { max-width: 100%; height: auto; background: #fff; } figcaption { color: var(--dim); }
"""


def build_report_page(job: Job) -> Report:
    """Writes `reports/report.html` out of the reports that the other steps have written.

    Raises:
        FileNotFoundError: one of them is not there.
    """
    folder = job.settings.shared.reports
    not_run = [*_missing(job), *(f"{name}: {why}" for name, why in BY_HAND.items() if not _picture_path(folder, name))]
    sections = [_as_html((folder / f"{name}.md").read_text(encoding="utf-8")) for name in TABLES]
    figures = [_figure(path, caption) for name, caption in PICTURES.items() if (path := _picture_path(folder, name))]
    page = folder / "report.html"
    write_text(_page(job, not_run, sections, figures), page)
    facts = {"page": str(page), "size_bytes": page.stat().st_size, "num_not_run": len(not_run)}
    return Report(len(sections) + len(figures), facts=facts)


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


def _page(job: Job, not_run: list[str], sections: list[str], figures: list[str]) -> str:
    settings, recipe = job.settings, job.recipe
    titles = [dataset_title(settings, dataset) for dataset in settings.datasets]
    prints = [f"{dataset} {data_fingerprint(settings.paths(dataset))[:16]}" for dataset in settings.datasets]
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    title = f"LARP benchmark: {'; '.join(titles)}"
    demo = (
        "<p><strong>The data is a synthetic demo world.</strong> It shows that the pipeline works and what each stage "
        "adds in that world; it says nothing of real music.</p>"
        if settings.is_demo
        else ""
    )
    # Tables of many columns scroll by themselves, not the page.
    body = "\n".join(sections).replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    items = "".join(f"<li>{escape(line)}</li>" for line in not_run) or "<li>nothing</li>"
    inner = f"""{demo}
<p>Playlist continuation with songs that nobody has played yet: every test song is missing from training. Models are
stopped by the validation split; nothing is chosen by the test split, which these tables are about.</p>
<p class="dim">Recipe {escape(recipe.name)}: {escape(recipe.summary)} Seed of training {recipe.training.seed}, of the
evaluation {recipe.evaluation.seed}. Made on {today} (UTC). Data fingerprint: {escape(", ".join(prints))}.</p>
<h2>What could not be run, or was not asked for</h2>
<ul>{items}</ul>
{body}
<h2>Figures</h2>
{"".join(figures)}"""
    return html_page(title, STYLE, inner)


def _missing(job: Job) -> list[str]:
    """Encoders without weights, with the reason, once for all datasets that give the same."""
    lines = []
    for name in SCORED:
        for dataset in job.settings.datasets:
            footer = pl.read_parquet_metadata(job.settings.paths(dataset).scores(name))
            if MISSING in footer:
                lines.append(f"{DISPLAY_NAMES[name]}: {footer[MISSING]}")
    return list(dict.fromkeys(lines))


def _as_html(text: str) -> str:
    """Markdown as HTML, one heading lower, since the page has a title of its own."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
    return str(parser.renderer.render(tokens, parser.options, {}))


def _picture_path(folder: Path, name: str) -> Path | None:
    path = folder / f"{name}.png"
    return path if path.exists() or name not in BY_HAND else None


def _figure(path: Path, caption: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>\n"
    )
