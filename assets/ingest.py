"""From raw files to what a model reads: tables, split, captions, audio, clips, mels, graph."""

import dagster as dg

from assets.factory import asset_of
from larp_core.graph.job import Job

KINDS = {
    "demo_world": {"mp3", "json", "python"},
    "source": {"file"},
    "playlists": {"parquet", "polars"},
    "cold_start_split": {"parquet", "polars"},
    "metadata": {"parquet", "polars"},
    "captions": {"parquet", "text"},
    "mp3": {"mp3", "parquet"},
    "clips": {"flac", "parquet"},
    "mels": {"numpy"},
    "interaction_graph": {"duckdb", "graph"},
}
"""Step: what the UI shows that it is made of."""


def build(jobs: list[Job]) -> list[dg.AssetsDefinition]:
    return [
        asset_of(job, group=f"{job.dataset}_ingest" if job.dataset else "demo_world", kinds=KINDS[job.step.name])
        for job in jobs
        if job.step.name in KINDS
    ]
