"""One caption a track from the recipe's template. A field that is missing takes the words leading to it along."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass

import polars as pl

from larp_core.captions.sound_fields import build_sound_fields
from larp_core.config import SOUND_FIELDS, CaptionConfig
from larp_core.config.paths import DatasetPaths
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import write_parquet
from larp_core.runtime.report import Report

FIELDS = {"track": "track_name", "artist": "artist_name", "album": "album_name"} | {name: name for name in SOUND_FIELDS}
"""Field of a template: the column that it is taken from."""

CLOSING = re.compile(r"""(?:['’]s\b)?[)\]}>»”’"'.!?]*""")
"""What at the start of a literal belongs to the field before it: the bracket in `{track} ({album})`, `{artist}'s`."""

SEPARATORS = " ,;:-–—/|&+·•"
"""Signs at the start of a literal that only stand between fields: they go where nothing comes before them."""

PAIRS = {")": "(", "]": "[", "}": "{", "»": "«", "”": "“"}
NUM_EXAMPLES = 10


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
            fields, no field.
    """
    allowed = ", ".join(f"{{{name}}}" for name in FIELDS)
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise UserError(f"caption.template '{template}': {error}; write a literal brace twice") from None
    segments: list[Segment] = []
    literal = ""
    for text, name, spec, conversion in parts:
        literal += text
        if name is None:
            continue
        if name not in FIELDS or spec or conversion:
            raise UserError(f"caption.template '{template}': unknown field '{name}'; use only {allowed}")
        segments, literal = _close_last(segments, literal)
        segments.append(Segment(lead=literal, field=name, tail=""))
        literal = ""
    if not segments:
        raise UserError(f"caption.template '{template}': has no field; use at least one of {allowed}")
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
                f"caption.template '{template}': '{PAIRS[sign]}' and '{sign}' stand around more than one field, and "
                "a missing field would leave half of them; put each field between signs of its own"
            )


def _close_last(segments: list[Segment], literal: str) -> tuple[list[Segment], str]:
    """Moves closing signs at the start of `literal` into the last segment."""
    match = CLOSING.match(literal) if segments else None
    if not match or not match[0]:
        return segments, literal
    last = segments[-1]
    return [*segments[:-1], Segment(last.lead, last.field, match[0])], literal[match.end() :]


def caption_expression(template: str) -> pl.Expr:
    """The caption of a row of metadata, and of sound fields where the template names some.

    Null where every field is missing; runs of whitespace become one space.
    """
    segments, end = parse_template(template)
    pieces = []
    present = pl.lit(False)
    for number, segment in enumerate(segments):
        value = _folded(pl.col(FIELDS[segment.field]))
        begins = segment.lead.lstrip(SEPARATORS) if number else segment.lead
        lead = pl.when(present).then(pl.lit(segment.lead)).otherwise(pl.lit(begins))
        pieces.append(pl.when(value != "").then(pl.concat_str(lead, value, pl.lit(segment.tail))).otherwise(pl.lit("")))
        present = present | (value != "")
    return pl.when(present).then(_folded(pl.concat_str(*pieces, pl.lit(end)))).alias("caption")


def _folded(text: pl.Expr) -> pl.Expr:
    return text.fill_null("").str.replace_all(r"[\s\x00-\x1f\x7f]+", " ").str.strip_chars()


def build_captions(paths: DatasetPaths, config: CaptionConfig) -> Report:
    """Writes `captions.parquet`: `track_id, caption`; a track without any name has no row.

    Raises:
        UserError: the template is malformed.
    """
    expression = caption_expression(config.template)
    metadata = pl.read_parquet(paths.metadata)
    if config.needs_clips:
        metadata = metadata.join(build_sound_fields(paths), on="track_id", how="left", maintain_order="left")
    captions = metadata.select("track_id", expression).drop_nulls("caption")
    write_parquet(captions, paths.captions)
    lengths = captions["caption"].str.len_chars()
    facts = {
        "template": config.template,
        "tracks_without_caption": metadata.height - captions.height,
        "mean_caption_characters": round(float(lengths.mean() or 0), 1),  # type: ignore[arg-type]
    }
    return Report(num_rows=captions.height, facts=facts, tables={"captions": captions.head(NUM_EXAMPLES).to_dicts()})
