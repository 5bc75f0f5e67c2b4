"""The README's limits, and the pages that are written from the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from doc_blocks import pages
from places import ROOT
from reference_pages.api_page import api_page
from reference_pages.command_line_page import command_line_page
from reference_pages.data_page import MARK, paths_tables
from reference_pages.docstrings import meanings, to_markdown
from reference_pages.graph_page import graph_page
from reference_pages.recipes_page import recipes_page
from reference_pages.settings_page import settings_page

import larp_core
from larp_core.config.datasets import DATASETS
from larp_core.config.encoders import CATALOGUE
from larp_core.config.paths import DatasetPaths, SharedPaths
from larp_core.config.recipes import RECIPES
from larp_core.config.settings import VARIABLES, Settings
from larp_core.config.stages import STAGES
from larp_core.graph.registry import STEPS

MOST_CHARACTERS = 12_000
MOST_PICTURE_BYTES = 300_000
NAMED_FILE = re.compile(r"`((?:larp_core|assets|pipeline|tests|benchmarks|docs)/[^`\s]+)`")
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def test_the_readme_fits_in_two_minutes() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8")) <= MOST_CHARACTERS


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_within_the_repository_lead_somewhere(page: str) -> None:
    links = LINK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_files_that_the_pages_name_are_there() -> None:
    placeholders = ("<", "*")
    for page in pages():
        named = NAMED_FILE.findall(page.read_text(encoding="utf-8"))
        files = [name for name in named if not any(sign in name for sign in placeholders)]
        assert [name for name in files if not (ROOT / name).exists()] == [], page


def test_the_architecture_has_the_rooms_in_their_order() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    [layers] = [contract["layers"] for contract in contracts if contract.get("containers") == ["larp_core"]]
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    places = [page.find(f"\n{layer}  ") for layer in layers if layer != "__main__"]
    assert -1 not in places and places == sorted(places)


def test_the_change_log_names_modules_that_are_there() -> None:
    """The first module of each row's last cell; what follows it in the row is beside it."""
    rows = [line for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines() if "| `larp_core" in line]
    assert len(rows) > 20
    for row in rows:
        for module in re.findall(r"`(larp_core[.][\w.]+)`", row.split(" | ")[1]):
            path = ROOT / module.replace(".", "/")
            assert path.with_suffix(".py").exists() or path.is_dir(), module


def test_pictures_are_small_pngs_and_all_are_shown() -> None:
    pictures = sorted((ROOT / "docs" / "images").iterdir())
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    texts = "\n".join(path.read_text(encoding="utf-8") for path in pages)
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG"), picture
        assert picture.stat().st_size <= MOST_PICTURE_BYTES, picture
        assert f"images/{picture.name}" in texts, picture


def test_every_setting_is_named_and_told() -> None:
    page = settings_page()
    for variable, name in VARIABLES.items():
        [row] = [line for line in page.splitlines() if line.startswith(f"| `{variable}` |")]
        assert f"`--{name.replace('_', '-')}`" in row
        assert len(row.split(" | ")[-1]) > 10, row
    told = {*meanings(Settings.__doc__), *(f"{dataset}_dir" for dataset in DATASETS)}
    assert told >= set(VARIABLES.values())


def test_every_recipe_and_its_settings_are_named() -> None:
    page = recipes_page()
    for recipe in RECIPES.values():
        assert f"| `{recipe.name}` |" in page
    for setting in ("### `training`", "| `learning_rate` |", "### `model.audio`", "- **smoke**: `num_tracks=90`"):
        assert setting in page


def test_every_step_stage_and_encoder_is_named() -> None:
    page = graph_page()
    for name in (*STEPS, *STAGES, *CATALOGUE):
        assert f"| `{name}` |" in page


def test_every_file_is_named_and_told() -> None:
    page = paths_tables()
    assert [line for line in page.splitlines() if line.endswith("|  |")] == []
    for paths in (DatasetPaths, SharedPaths):
        for name in (name for name in vars(paths) if not name.startswith("_")):
            assert f"| `{name}" in page, name
    assert MARK in (ROOT / "docs" / "reference" / "data.md").read_text(encoding="utf-8")


def test_every_command_is_shown_with_its_help() -> None:
    page = command_line_page()
    for command in ("run", "steps", "recipes", "doctor", "cell", "export", "convert"):
        assert f"## `larp {command}`" in page
    assert page.count("usage: larp ") == page.count("## `larp ")


def test_the_public_names_and_the_functions_of_the_steps_are_shown() -> None:
    page = api_page()
    for name in larp_core.__all__:
        assert f"### `{name}`" in page
    for step in STEPS.values():
        assert f"### `{step.work.path.replace(':', '.')}`" in page


def test_docstrings_become_markdown() -> None:
    text = """Cuts `a<b>` for <dataset>.

    Args:
        first, second: what is cut,
            and where.

    Raises:
        UserError: it can't.
    """
    shown = to_markdown(text)
    assert shown == (
        "Cuts `a<b>` for &lt;dataset>.\n\n**Args**\n\n- `first, second`: what is cut, and where.\n\n"
        "**Raises**\n\n- `UserError`: it can't."
    )


def test_the_navigation_has_every_page() -> None:
    named = set(re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE))
    docs = ROOT / "docs"
    written = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    assert written <= named
    assert all((docs / name).exists() or Path(name).parts[0] in ("reference", "changelog.md") for name in named)
