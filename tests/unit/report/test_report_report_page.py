"""The page to send around: well-formed, whole in itself, with every table, and nothing in it that was a name."""

import base64
from html.parser import HTMLParser

import pytest

from larp_core.config.settings import Settings
from larp_core.report.report_page import BY_HAND, PICTURES, TABLES, build_report_page
from larp_core.runtime.files import write_text

VOID = {"meta", "img", "br", "hr"}
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
EVIL = "<script>alert(1)</script>"


class Reader(HTMLParser):
    """Every element must be closed in its order; collects tags, links and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def reported(scored: Settings) -> Settings:
    """Reports of all steps, played by short texts; a song's name tries to become part of the page."""
    for dataset in scored.datasets:
        paths = scored.paths(dataset)
        for path in (paths.playlists, paths.tracks):
            write_text("stands for a table", path)
    folder = scored.shared.reports
    for name in TABLES:
        cell = EVIL if name == "table_2" else "0.1 [0.0, 0.2]"
        write_text(f"# Title of {name}\n\n| row | R@10 |\n|---|--:|\n| {cell} | **0.2** |\n", folder / f"{name}.md")
    for name in set(PICTURES) - set(BY_HAND):
        (folder / f"{name}.png").write_bytes(PNG)
    return scored


def read(settings: Settings) -> Reader:
    reader = Reader()
    reader.feed((settings.shared.reports / "report.html").read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader


def test_page_is_whole_and_names_what_was_not_run(reported: Settings) -> None:
    report = build_report_page(reported)
    page = read(reported)
    assert page.tags.count("table") == len(TABLES)
    assert page.tags.count("img") == 2 == sum(link.startswith("data:image/png;base64,") for link in page.links)
    assert all(link.startswith("data:") for link in page.links), "nothing outside the file is asked for"
    for name in TABLES:
        assert f"Title of {name}" in page.text
    assert "weights not found" in page.text and "figure_4: not run" in page.text
    assert "synthetic demo world" in page.text and "Recipe smoke" in page.text
    assert report.facts["num_not_run"] == page.tags.count("li")


def test_names_stay_text(reported: Settings) -> None:
    build_report_page(reported)
    page = read(reported)
    assert "script" not in page.tags and EVIL in page.text


def test_figure_4_is_shown_once_it_has_been_made(reported: Settings) -> None:
    (reported.shared.reports / "figure_4.png").write_bytes(PNG)
    build_report_page(reported)
    page = read(reported)
    assert page.tags.count("img") == 3 and "figure_4: not run" not in page.text
