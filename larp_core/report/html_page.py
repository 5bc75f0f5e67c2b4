"""Pages that stand by themselves, out of the templates beside this file: style, script and pictures lie within."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render_page(template: str, **values: Any) -> str:
    """The whole page. Values are text, whatever signs they hold, but for `Markup`.

    Raises:
        jinja2.UndefinedError: the template asks for a value that isn't given.
    """
    pages = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return pages.get_template(template).render(values)
