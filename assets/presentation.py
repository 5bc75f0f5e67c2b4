"""How a step's result looks in the web UI: row counts, figures, tables and pictures. No work is done here."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import dagster as dg

from larp_core.graph.memo import Finished
from larp_core.runtime import markdown

SHOWN_DIGITS = 4
MAX_TABLE_ROWS = 60
MAX_PICTURE_BYTES = 300_000
"""A picture is stored in the event log with its asset, and the UI loads it with every page that lists the asset."""


def metadata_of(done: Finished) -> dict[str, dg.MetadataValue]:
    """Dagster metadata of a finished step, in the order in which a person wants to read it.

    Raises:
        ValueError: two parts of the report have one name; one would hide the other.
    """
    report = done.report
    parts: list[tuple[str, dg.MetadataValue]] = [
        ("dagster/row_count", dg.MetadataValue.int(report.num_rows)),
        *((name, value_of(fact)) for name, fact in report.facts.items()),
        *(
            (title, dg.MetadataValue.md(markdown.table_of(rows, most=MAX_TABLE_ROWS, digits=SHOWN_DIGITS)))
            for title, rows in report.tables.items()
        ),
        *((title, _picture(Path(path))) for title, path in report.pictures.items()),
        *((title, dg.MetadataValue.notebook(path)) for title, path in report.notebooks.items()),
        ("reused", dg.MetadataValue.bool(done.reused)),
        ("work_seconds", value_of(done.seconds)),
    ]
    metadata = dict(parts)
    if len(metadata) < len(parts):
        raise ValueError(f"parts of a report have the same name: {sorted(name for name, _ in parts)}")
    return metadata


def headline(done: Finished) -> str:
    """One line for the log."""
    verb = "unchanged, reused" if done.reused else f"done in {done.seconds:.1f} s"
    return f"{done.report.num_rows:,} rows, {verb}"


def value_of(fact: Any) -> dg.MetadataValue:
    match fact:
        case None:
            return dg.MetadataValue.null()
        case bool():
            return dg.MetadataValue.bool(fact)
        case int():
            return dg.MetadataValue.int(fact)
        case float():
            return dg.MetadataValue.float(float(f"{fact:.{SHOWN_DIGITS}g}"))
        case Path():
            return dg.MetadataValue.path(fact)
        case str():
            return dg.MetadataValue.text(fact)
    return dg.MetadataValue.json(json.loads(json.dumps(fact, default=str)))


def _picture(path: Path) -> dg.MetadataValue:
    if not path.exists():
        return dg.MetadataValue.text(f"{path} is gone")
    data = base64.b64encode(_small_png(path.read_bytes())).decode("ascii")
    return dg.MetadataValue.md(f"![{path.stem}](data:image/png;base64,{data})")


def _small_png(png: bytes) -> bytes:
    """The picture itself, or a smaller copy that fits `MAX_PICTURE_BYTES`."""
    if len(png) <= MAX_PICTURE_BYTES:
        return png
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB")
    while len(png) > MAX_PICTURE_BYTES:
        image = image.resize((max(1, image.width * 3 // 4), max(1, image.height * 3 // 4)), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, format="PNG", optimize=True)
        png = buffer.getvalue()
    return png
