"""A caption's template as it is parsed: fields, and the literal text that belongs to each."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass

from larp_core.runtime.errors import UserError

SOUND_FIELDS = ("tempo", "key", "mode", "loudness", "brightness")
"""What captions can say of a clip's sound, see `larp_core.captions.sound_fields`."""

FIELDS = ("track", "artist", "album", *SOUND_FIELDS)

CLOSING = re.compile(r"""(?:['’]s\b)?[)\]}>»”’"'.!?]*""")
"""What at the start of a literal belongs to the field before it: the bracket in `{track} ({album})`, `{artist}'s`."""

PAIRS = {")": "(", "]": "[", "}": "{", "»": "«", "”": "“"}


@dataclass(frozen=True)
class Segment:
    """A field with the literal text that leads to it and the closing signs behind it."""

    lead: str
    field: str
    tail: str


def parse_template(template: str) -> tuple[list[Segment], str]:
    """The segments of a template, and the literal text after the last one.

    Raises:
        UserError: a field that there is not, a format, a conversion, unbalanced braces, a bracket around several
            fields, no field, half of a surrogate pair.
    """
    allowed = ", ".join(f"{{{name}}}" for name in FIELDS)
    try:
        template.encode()
    except UnicodeEncodeError:
        raise UserError(f"caption.template {template!r}: holds half a character; write it anew") from None
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise UserError(f"caption.template {template!r}: {error}; write a literal brace twice") from None
    segments: list[Segment] = []
    literal = ""
    for text, name, spec, conversion in parts:
        literal += text
        if name is None:
            continue
        if name not in FIELDS or spec or conversion:
            raise UserError(f"caption.template {template!r}: unknown field {name!r}; use only {allowed}")
        segments, literal = _close_last(segments, literal)
        segments.append(Segment(lead=literal, field=name, tail=""))
        literal = ""
    if not segments:
        raise UserError(f"caption.template {template!r}: has no field; use at least one of {allowed}")
    segments, end = _close_last(segments, literal)
    _check_pairs(template, segments, end)
    return segments, end


def _check_pairs(template: str, segments: list[Segment], end: str) -> None:
    """A bracket around several fields would lose its other half with the first or the last of them."""
    open_before: list[tuple[str, int]] = []
    pieces = [(segment.lead + segment.tail, number) for number, segment in enumerate(segments)]
    for sign, number in ((sign, number) for text, number in [*pieces, (end, len(segments))] for sign in text):
        if sign in PAIRS.values():
            open_before.append((sign, number))
        elif open_before and PAIRS.get(sign) == open_before[-1][0] and open_before.pop()[1] != number:
            raise UserError(
                f"caption.template {template!r}: '{PAIRS[sign]}' and '{sign}' stand around more than one field, and "
                "a missing field would leave half of them; put each field between signs of its own"
            )


def _close_last(segments: list[Segment], literal: str) -> tuple[list[Segment], str]:
    """Moves closing signs at the start of `literal` into the last segment."""
    match = CLOSING.match(literal) if segments else None
    if not match or not match[0]:
        return segments, literal
    last = segments[-1]
    return [*segments[:-1], Segment(last.lead, last.field, match[0])], literal[match.end() :]
