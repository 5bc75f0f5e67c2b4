"""One caption a track from the recipe's template. A field that is missing takes the words leading to it along."""

from __future__ import annotations

import polars as pl

from larp_core.captions.sound_fields import build_sound_fields
from larp_core.config import CaptionConfig
from larp_core.config.caption_template import SOUND_FIELDS, parse_template
from larp_core.config.paths import DatasetPaths
from larp_core.runtime.files import write_parquet
from larp_core.runtime.report import Report

COLUMNS = {"track": "track_name", "artist": "artist_name", "album": "album_name"} | {
    name: name for name in SOUND_FIELDS
}
"""Field of a template: the column that it is taken from."""

SEPARATORS = " ,;:-–—/|&+·•"
"""Signs at the start of a literal that only stand between fields: they go where nothing comes before them."""

NUM_EXAMPLES = 10


def caption_expression(template: str) -> pl.Expr:
    """The caption of a row of metadata, and of sound fields where the template names some.

    Null where every field is missing; runs of whitespace become one space.
    """
    segments, end = parse_template(template)
    pieces = []
    present = pl.lit(False)
    for number, segment in enumerate(segments):
        value = _folded(pl.col(COLUMNS[segment.field]))
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
