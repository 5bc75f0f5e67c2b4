"""Every field of a recipe, values of its type at random and at its edges, and recipes with one of them changed."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st

from larp_core.config.recipes import RECIPES, Recipe
from larp_core.config.section import LARGEST, Section, Within, hints_of

SMOKE = RECIPES["smoke"]
STRANGE = (None, "", "x", "1", True, -1, 0, 1, 0.5, LARGEST + 1, 2**80, math.nan, math.inf, 1e300, (), ("x",), (1,), [])
"""Values that are of another type or out of range, for most fields."""


def knobs_of(section: Section = SMOKE) -> Iterator[tuple[str, str]]:
    """`(section, field)` of every field, the recipe's own name and summary too."""
    for name in hints_of(type(section)):
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from knobs_of(value)
        else:
            yield section.section, name


KNOBS = list(knobs_of())


def section_of(path: str, recipe: Recipe = SMOKE) -> Any:
    section: Any = recipe
    for part in filter(None, path.split(".")):
        section = getattr(section, part)
    return section


def changed(path: str, recipe: Recipe = SMOKE, **values: Any) -> Recipe:
    """The recipe with other values in one section. Raises UserError where they are refused."""
    section = dataclasses.replace(section_of(path, recipe), **values)
    while path:
        path, _, name = path.rpartition(".")
        section = dataclasses.replace(section_of(path, recipe), **{name: section})
    return section


def values_of(hint: Any, most: int | None = None) -> st.SearchStrategy[Any]:
    """Values of a type and at the edges of its range, within it or not; `most` bounds whole numbers."""
    kind, arguments = get_origin(hint), get_args(hint)
    if kind is Annotated:
        edges = [edge for rule in arguments[1:] if isinstance(rule, Within) for edge in _edges(rule, most)]
        plain = values_of(arguments[0], most)
        return plain | st.sampled_from(edges) if edges else plain
    if kind is Literal:
        return st.sampled_from(arguments)
    if kind in (Union, types.UnionType):
        return st.one_of(*(values_of(choice, most) for choice in arguments))
    if kind is tuple and arguments[-1] is Ellipsis:
        return st.lists(values_of(arguments[0], most), max_size=4).map(tuple)
    if kind is tuple:
        return st.tuples(*(values_of(choice, most) for choice in arguments))
    numbers = st.integers(0, most) if most else st.integers() | st.sampled_from([-1, 0, 1, 2, LARGEST, 2**63, 2**80])
    plainly: dict[Any, st.SearchStrategy[Any]] = {
        int: numbers,
        float: st.floats() | st.floats(-1, 2) | numbers,
        bool: st.booleans(),
        str: st.text(),
        types.NoneType: st.none(),
    }
    return plainly[hint]


def edges_of(hint: Any) -> list[float]:
    """The ends of a field's ranges, and numbers beside them."""
    rules = [argument for argument in get_args(hint) if isinstance(argument, Within)]
    within = [edge for argument in get_args(hint) for edge in edges_of(argument)]
    return [edge for rule in rules for edge in _edges(rule, None)] + within


def _edges(rule: Within, most: int | None) -> list[float]:
    edges = [rule.low - 1, rule.low, rule.low + 1, rule.high - 1, rule.high, rule.high + 1]
    return [edge for edge in edges if math.isfinite(edge) and (most is None or edge <= most)]
