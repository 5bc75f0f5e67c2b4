"""What every section of a recipe does when it is made: it checks its fields, so that none fails hours later.

A field's annotation says what it may be, `Annotated[float, Within(0, 1)]` say; what several fields must be together
stands in the section's `check`. Not by pydantic: every worker process would load it with its recipe's section.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cache
from itertools import pairwise
from math import inf, isfinite
from typing import Annotated, Any, ClassVar, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from larp_core.runtime.errors import UserError

MOST_CHARS = 80
"""Of a value in a message."""


@dataclass(frozen=True)
class Within:
    """A range of numbers; `above` and `below` leave out its ends."""

    low: float = -inf
    high: float = inf
    above: bool = False
    below: bool = False

    def holds(self, value: float) -> bool:
        high_enough = value > self.low if self.above else value >= self.low
        return high_enough and (value < self.high if self.below else value <= self.high)

    def __str__(self) -> str:
        if not self.above and not self.below:
            return f"from {self.low:,} to {self.high:,}"
        return (
            f"{'above' if self.above else 'from'} {self.low:,} and {'below' if self.below else 'at most'} {self.high:,}"
        )


@dataclass(frozen=True)
class Named:
    """A text that can be a name: of a file, a folder, a hub's repository."""

    def holds(self, value: str) -> bool:
        return value != "" and value.isprintable() and value == value.strip()

    def __str__(self) -> str:
        return "that is a name"


LARGEST = 2**31 - 1
"""Of whole numbers that are no larger for any other reason: the libraries' generators and arrays take no more."""

Seed = Annotated[int, Within(0, LARGEST)]
Count = Annotated[int, Within(1, LARGEST)]
CountOrZero = Annotated[int, Within(0, LARGEST)]
Width = Annotated[int, Within(1, 65_536)]
"""Of a layer: larger ones fit no memory."""
Share = Annotated[float, Within(0, 1)]
ShareBelowAll = Annotated[float, Within(0, 1, below=True)]
Seconds = Annotated[float, Within(0, 366 * 86_400)]
SomeSeconds = Annotated[float, Within(0, 366 * 86_400, above=True)]
Weight = Annotated[float, Within(0, 1e12)]
"""Of a term of a loss, and rates: single precision holds what they are multiplied with."""
Temperature = Annotated[float, Within(0.001, 1_000)]
"""A cosine over less is more than softmaxes in single precision tell apart."""
Name = Annotated[str, Named()]


class Section:
    """A frozen dataclass that is refused where a field can't work.

    Raises:
        UserError: one line with the field's dotted name, its value and what it must be.
    """

    section: ClassVar[str]

    def __init_subclass__(cls, section: str = "") -> None:
        cls.section = section

    def __post_init__(self) -> None:
        kind: Any = type(self)
        for name, hint in hints_of(kind).items():
            value = getattr(self, name)
            if value is getattr(kind, name, MISSING):
                continue  # a default: tests have checked it, and every process makes every recipe
            if not fits(value, hint):
                self.refuse(f"it must be {_words(hint)}", name)
            object.__setattr__(self, name, _with_floats(value, hint))
        self.check()

    def check(self) -> None:
        """What fields must be together. Raises UserError, by `refuse`."""

    def refuse(self, why: str, *names: str) -> NoReturn:
        """Raises UserError for the fields `names`, dotted ones of sections within too."""
        said = []
        for name in names:
            value: Any = self
            for part in name.split("."):
                value = getattr(value, part)
            said.append(f"{f'{self.section}.' if self.section else ''}{name} is {_shown(value)}")
        raise UserError(f"recipe: {' and '.join(said)}; {why}")

    def check_names(self, field: str, allowed: Iterable[str], what: str) -> None:
        """A field of pairs, a name and its value, has each name once, and only `allowed` ones.

        Raises:
            UserError: it doesn't.
        """
        names = [name for name, _ in getattr(self, field)]
        for name in names:
            if name not in allowed:
                self.refuse(f"unknown {what} {name!r}; choose from {', '.join(allowed)}", field)
            if names.count(name) > 1:
                self.refuse(f"{name!r} stands in it more than once", field)

    def check_ascending(self, field: str) -> None:
        """Raises UserError where a field's numbers are none, or don't ascend."""
        numbers: Sequence[float] = getattr(self, field)
        if not numbers or any(left >= right for left, right in pairwise(numbers)):
            self.refuse("give at least one number, each larger than the one before", field)


@cache
def hints_of(section: Any) -> dict[str, Any]:
    """What each field of a section's class may be, by name."""
    hints = get_type_hints(section, include_extras=True)
    return {field.name: hints[field.name] for field in fields(section)}


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, and within the ranges of its annotations. NaN and infinity are no numbers."""
    kind, arguments = get_origin(hint), get_args(hint)
    if kind is Annotated:
        return fits(value, arguments[0]) and all(rule.holds(value) for rule in arguments[1:])
    if kind is Literal:
        return any(type(value) is type(choice) and value == choice for choice in arguments)
    if kind in (Union, types.UnionType):
        return any(fits(value, choice) for choice in arguments)
    if kind is tuple:
        return isinstance(value, tuple) and _fit_in_turn(value, arguments)
    if hint is float:
        return type(value) is int or (isinstance(value, float) and isfinite(value))
    return type(value) is int if hint is int else isinstance(value, hint)


def _fit_in_turn(values: tuple[Any, ...], hints: tuple[Any, ...]) -> bool:
    if hints[-1] is Ellipsis:
        return all(fits(value, hints[0]) for value in values)
    return len(values) == len(hints) and all(map(fits, values, hints))


def _with_floats(value: Any, hint: Any) -> Any:
    """A value that fits, whole numbers made floats where those are due: fingerprints tell 20 from 20.0."""
    kind, arguments = get_origin(hint), get_args(hint)
    if kind is Annotated:
        return _with_floats(value, arguments[0])
    if kind in (Union, types.UnionType):
        return _with_floats(value, next(choice for choice in arguments if fits(value, choice)))
    if kind is tuple:
        hints = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(map(_with_floats, value, hints))
    return float(value) if hint is float else value


KINDS = {int: "a whole number", float: "a number", bool: "True or False", str: "a text", types.NoneType: "None"}


def _words(hint: Any) -> str:
    """What a field must be, for a person."""
    kind, arguments = get_origin(hint), get_args(hint)
    if kind is Annotated:
        return " ".join([_words(arguments[0]), *map(str, arguments[1:])])
    if kind is Literal:
        return " or ".join(map(repr, arguments))
    if kind in (Union, types.UnionType):
        return " or ".join(map(_words, arguments))
    if kind is tuple:
        each = f"each {_words(arguments[0])}" if arguments[-1] is Ellipsis else ", ".join(map(_words, arguments))
        return f"a tuple: {each}"
    return KINDS.get(hint) or f"a {hint.__name__}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]}..."
