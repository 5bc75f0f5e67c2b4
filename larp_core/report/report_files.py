"""A table of the benchmark as files in `reports/`: Parquet for programs, Markdown for people."""

from __future__ import annotations

from typing import Any

import polars as pl

from larp_core.graph.job import Job, Report
from larp_core.runtime.files import write_parquet, write_text

Shown = dict[str, list[dict[str, Any]]]
"""Title -> rows, as the web UI shows them."""


def write_table(job: Job, name: str, table: pl.DataFrame, text: str, shown: Shown) -> Report:
    """Writes `<name>.parquet` and `<name>.md`; the report counts the table's rows."""
    folder = job.settings.shared.reports
    write_parquet(table, folder / f"{name}.parquet")
    write_text(text, folder / f"{name}.md")
    return Report(table.height, facts={"datasets": ", ".join(job.settings.datasets)}, tables=shown)
