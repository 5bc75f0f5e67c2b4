"""Every command and Python block of the README and the documentation runs, or says why it can't.

One test, so that the small dataset is made once however the tests are shared out. It is made by a page itself:
`docs/how-to/notebook.md` goes from raw files to scores by calling the functions behind the steps.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest
from data_dictionary import documented_columns, undocumented
from doc_blocks import RUNNABLE, blocks_of, pages
from page_runner import PageRunner
from places import ROOT

from larp_core.cli.main import parser
from larp_core.graph.registry import STEPS

NOTEBOOK = ROOT / "docs" / "how-to" / "notebook.md"
LANGUAGES = {*RUNNABLE, "text", "csv", "yaml", ""}


def test_every_block_runs_or_says_why_not(tmp_path: Path, subtests: pytest.Subtests) -> None:
    finished = tmp_path / "notebook"
    finished.mkdir()
    run_page(NOTEBOOK, finished, tmp_path)
    the_notebook_leaves_scores(finished / "notebook-data")
    with subtests.test("the data dictionary has every column"):
        assert undocumented(finished / "notebook-data" / "mpd", documented_columns()) == []
    home = make_home(tmp_path / "home", finished / "world")
    for number, page in enumerate(page for page in pages() if page != NOTEBOOK):
        with subtests.test(str(page.relative_to(ROOT))):
            folder = tmp_path / f"page-{number}"
            shutil.copytree(finished / "notebook-data", folder / "data", copy_function=os.link)
            run_page(page, folder, home)


def run_page(page: Path, folder: Path, home: Path) -> None:
    runner = PageRunner(folder, home)
    for block in blocks_of(page):
        runner.run(block)


def the_notebook_leaves_scores(data: Path) -> None:
    scores = pl.read_parquet(data / "mpd" / "scores" / "larp_tpc.parquet")
    values = scores.filter(recommender="ItemKNN", metric="recall", k=10)["value"]
    assert len(values) == 1 and 0 <= values[0] <= 1


def make_home(home: Path, world: Path) -> Path:
    """A person's home folder with the files that the pages speak of: real formats, from the demo world."""
    music = home / "Music"
    music.mkdir(parents=True)
    for name, folder in {"mpd": "mpd", "lfm2b": "lfm2b", "audio": "audio"}.items():
        (home / name).symlink_to(world / folder)
    songs = sorted((world / "audio").iterdir())
    for song in songs:
        os.link(song, music / song.name)
    for number in range(30):
        entries = [songs[(number * 7 + step * step) % len(songs)].name for step in range(30)]
        (music / f"list {number}.m3u").write_text("\n".join(dict.fromkeys(entries)) + "\n", encoding="utf-8")
    return home


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_has_a_language_that_is_known(page: Path) -> None:
    assert {block.language for block in blocks_of(page)} <= LANGUAGES


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_not_run_is_no_nonsense(page: Path) -> None:
    """A block that isn't run can be parsed at least, and `larp` knows its commands, options and steps."""
    for block in (block for block in blocks_of(page) if block.reason):
        if block.language == "python":
            compile(block.code, block.name, "exec")
            continue
        subprocess.run(["bash", "-n", "-c", block.code], check=True)
        for line in block.code.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["larp"]:
                options = vars(parser().parse_args(words[1:]))
                assert set(options.get("steps", [])) <= set(STEPS), block.name
