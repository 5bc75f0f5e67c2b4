"""The recipes and every setting in them: `larp_core.config`."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from typing import Any

from larp_core.config.recipes import RECIPES, Recipe
from reference_pages.docstrings import escaped, meanings, split_docstring, table

INTRODUCTION = """\
# Recipes

A recipe is a complete, frozen configuration with a name. A run uses one recipe, which `LARP_RECIPE` names. The command
`larp recipes` lists them. To change a value, write a recipe of your own: see
[Change a recipe](../how-to/recipes.md).

If you change a value, whatever depends on it is made again, and nothing else.
"""

SECTIONS = """\
## Sections

For each section: every setting with its default, and below it the recipes that differ from the default.
"""


def recipes_page() -> str:
    rows: list[tuple[object, ...]] = [(f"`{recipe.name}`", escaped(recipe.summary)) for recipe in RECIPES.values()]
    parts = [INTRODUCTION, table(("recipe", "what it is for"), rows), "", SECTIONS]
    for name, kind in _sections(Recipe):
        parts += [*_section(name, kind), ""]
    return "\n".join(parts)


def _sections(owner: type, prefix: str = "") -> Iterator[tuple[str, type]]:
    """`model`, `model.audio` and so on, each with its class."""
    hints = typing.get_type_hints(owner)
    for field in dataclasses.fields(owner):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            name = f"{prefix}{field.name}"
            assert isinstance(kind, type)
            yield name, kind
            yield from _sections(kind, f"{name}.")


def _section(name: str, kind: type) -> list[str]:
    text, _ = split_docstring(kind.__doc__)
    said, default = meanings(kind.__doc__), kind()
    plain = [f.name for f in dataclasses.fields(kind) if not dataclasses.is_dataclass(getattr(default, f.name))]
    rows: list[tuple[object, ...]] = [
        (f"`{field}`", f"`{getattr(default, field)!r}`", escaped(said.get(field, ""))) for field in plain
    ]
    differences = [line for recipe in RECIPES.values() if (line := _difference(recipe, name, plain, default))]
    head = [f"### `{name}`", "", escaped(text), ""]
    return [*head, *([table(("setting", "default", "meaning"), rows), ""] if rows else []), *differences]


def _difference(recipe: Recipe, name: str, fields: list[str], default: Any) -> str:
    section: Any = recipe
    for part in name.split("."):
        section = getattr(section, part)
    changed = [field for field in fields if getattr(section, field) != getattr(default, field)]
    values = ", ".join(f"`{field}={getattr(section, field)!r}`" for field in changed)
    return f"- **{recipe.name}**: {values}" if values else ""
