"""One caption a track from the recipe's template. A field that is missing takes the words leading to it along."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass

import polars as pl

from larp_core.audio.sound_fields import build_sound_fields
from larp_core.config import SOUND_FIELDS
from larp_core.errors import UserError
from larp_core.files import write_parquet
from larp_core.steps import Job, Report

FIELDS = {"track": "track_name", "artist": "artist_name", "album": "album_name"} | {name: name for name in SOUND_FIELDS}
"""Field of a template: the column that it is taken from."""

CLOSING = re.compile(r"""[)\]}>»”’"'.!?]+""")
"""Signs at the start of a literal that belong to the field before it, such as the bracket in `{track} ({album})`."""

SEPARATORS = " ,;:"
"""Signs at the start of a literal that only stand between fields: they go where nothing comes before them."""
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
        UserError: a field that there is not, a format, a conversion, unbalanced braces, no field.
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
    return _close_last(segments, literal)


def _close_last(segments: list[Segment], literal: str) -> tuple[list[Segment], str]:
    """Moves closing signs at the start of `literal` into the last segment."""
    match = CLOSING.match(literal) if segments else None
    if match is None:
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
    for segment in segments:
        value = _folded(pl.col(FIELDS[segment.field]))
        lead = pl.when(present).then(pl.lit(segment.lead)).otherwise(pl.lit(segment.lead.lstrip(SEPARATORS)))
        pieces.append(pl.when(value != "").then(pl.concat_str(lead, value, pl.lit(segment.tail))).otherwise(pl.lit("")))
        present = present | (value != "")
    return pl.when(present).then(_folded(pl.concat_str(*pieces, pl.lit(end)))).alias("caption")


def _folded(text: pl.Expr) -> pl.Expr:
    return text.fill_null("").str.replace_all(r"[\s\x00-\x1f\x7f]+", " ").str.strip_chars()


def build_captions(job: Job) -> Report:
    """Writes `captions.parquet`: `track_id, caption`; a track without any name has no row.

    Raises:
        UserError: the template is malformed.
    """
    expression = caption_expression(job.recipe.caption.template)
    metadata = pl.read_parquet(job.paths.metadata)
    if job.recipe.caption.needs_clips:
        metadata = metadata.join(build_sound_fields(job.paths), on="track_id", how="left", maintain_order="left")
    captions = metadata.select("track_id", expression).drop_nulls("caption")
    write_parquet(captions, job.paths.captions)
    lengths = captions["caption"].str.len_chars()
    facts = {
        "template": job.recipe.caption.template,
        "tracks_without_caption": metadata.height - captions.height,
        "mean_caption_characters": round(float(lengths.mean() or 0), 1),  # type: ignore[arg-type]
    }
    return Report(num_rows=captions.height, facts=facts, tables={"captions": captions.head(NUM_EXAMPLES).to_dicts()})
