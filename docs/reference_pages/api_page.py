"""The Python API: what `import larp_core` offers, and the function behind every step; read, and not imported."""

from __future__ import annotations

import ast
import copy
import functools
from pathlib import Path

import larp_core
from larp_core.graph.registry import STEPS
from reference_pages.docstrings import to_markdown

ROOT = Path(larp_core.__file__).parents[1]

INTRODUCTION = """\
# Python API

`import larp_core` costs nothing: what stands below is loaded when it is first used.
[From raw files to scores in a notebook](../how-to/notebook.md) calls the functions one after the other.

Errors that you can mend are a `larp_core.UserError`, whose text says what to do.
"""

CONSTANTS = {
    "CATALOGUE": "The encoders: a dictionary of `Encoder` by name.",
    "DATASETS": "The datasets: a dictionary of `DatasetSpec` by name.",
    "RECIPES": "The recipes: a dictionary of `Recipe` by name.",
    "STAGES": "The stages of training: a dictionary of `Stage` by name.",
}

STEPS_TEXT = """\
## Functions behind the steps

Every step of the graph calls one function. The functions know nothing of Dagster, steps or jobs: they take paths and
their own section of a recipe, write files, and return a `Report`.
"""


def api_page() -> str:
    parts = [INTRODUCTION, "## `larp_core`\n"]
    parts += [_public(name) for name in larp_core.__all__]
    parts.append(STEPS_TEXT)
    seen: dict[str, list[str]] = {}
    for step in STEPS.values():
        seen.setdefault(step.work.path, []).append(step.name)
    for path, steps in seen.items():
        module, name = path.split(":")
        listed = ", ".join(f"`{step}`" for step in steps[:4]) + (", and so on" if len(steps) > 4 else "")
        parts.append(f"### `{module}.{name}`\n\nSteps: {listed}.\n\n{_function(_find(module, name))}\n")
    return "\n".join(parts)


def _public(name: str) -> str:
    module = f"larp_core.{larp_core._PLACES[name]}"
    node = _find(module, name)
    head = f"### `{name}`\n\n"
    if isinstance(node, ast.ClassDef):
        return head + _class(node)
    if isinstance(node, ast.FunctionDef):
        return head + _function(node)
    return f"{head}{CONSTANTS[name]}\n"


def _class(node: ast.ClassDef) -> str:
    parts = [to_markdown(ast.get_docstring(node))]
    if node.name.endswith("Paths"):
        return "\n\n".join([*parts, "The [data dictionary](data.md#files) lists its files."]) + "\n"
    for member in node.body:
        if not isinstance(member, ast.FunctionDef) or member.name.startswith("_"):
            continue
        if ast.get_docstring(member):
            parts.append(_function(member, f"{node.name}."))
    return "\n\n".join(parts) + "\n"


def _function(node: ast.AST, owner: str = "") -> str:
    assert isinstance(node, ast.FunctionDef)
    said = to_markdown(ast.get_docstring(node))
    if any(isinstance(decorator, ast.Name) and decorator.id == "property" for decorator in node.decorator_list):
        return f"```text\n{owner}{node.name} -> {ast.unparse(node.returns) if node.returns else ''}\n```\n\n{said}\n"
    return f"```text\n{owner}{_signature(node)}\n```\n\n{said}\n"


def _signature(node: ast.FunctionDef) -> str:
    """On one line where it fits, else an argument a line."""
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    node = copy.deepcopy(node)
    node.args.args = [argument for argument in node.args.args if argument.arg not in ("self", "cls")]
    arguments = ast.unparse(node.args)
    line = f"{node.name}({arguments}){returns}"
    if len(line) <= 96:
        return line
    keyword_only = ["*"] if node.args.kwonlyargs else []
    words = [*_words(node.args.args, node.args.defaults), *keyword_only]
    words += _words(node.args.kwonlyargs, [default for default in node.args.kw_defaults if default])
    if node.args.kwarg:
        words.append(f"**{ast.unparse(node.args.kwarg)}")
    return "\n".join([f"{node.name}(", *(f"    {word}," for word in words), f"){returns}"])


def _words(arguments: list[ast.arg], defaults: list[ast.expr]) -> list[str]:
    """Arguments with their types and, for the last of them, their defaults."""
    without = len(arguments) - len(defaults)
    given = [ast.unparse(argument) for argument in arguments]
    return [
        word if number < without else f"{word} = {ast.unparse(defaults[number - without])}"
        for number, word in enumerate(given)
    ]


def _find(module: str, name: str) -> ast.stmt:
    """Where a module, or the one that it imports the name from, defines it."""
    for node in _tree(module).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return node
        if isinstance(node, ast.ImportFrom) and node.module and any(alias.name == name for alias in node.names):
            return _find(node.module, name)
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if _is_annotated(node) else []
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return node
    raise LookupError(f"{module} has no {name}")


def _is_annotated(node: ast.stmt) -> bool:
    return isinstance(node, ast.AnnAssign)


@functools.cache
def _tree(module: str) -> ast.Module:
    path = ROOT / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))
