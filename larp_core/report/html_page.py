"""The frame of a page that stands by itself: no style, font or script from elsewhere."""

from __future__ import annotations

from html import escape


def html_page(title: str, style: str, body: str) -> str:
    """A whole document. `title` is text and heads the page too; `style` and `body` are taken as they are."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{body}
</body>
</html>
"""
