"""Table 4: the row trained elsewhere is scored like the others, one dataset alone says so, and theirs stay theirs."""

import dataclasses
import shutil

import polars as pl
import pytest

from larp_core.config.settings import Settings
from larp_core.evaluation.holdouts import load_holdouts
from larp_core.evaluation.recommenders.itemknn import evaluate_itemknn
from larp_core.evaluation.vectors import load_vectors
from larp_core.graph.registry import job_named
from larp_core.runtime.files import write_parquet


@pytest.fixture
def transferred(scored: Settings) -> Settings:
    """MPD's model on LFM's tracks is played by another encoder's vectors; the two share every other uri."""
    paths = scored.paths("lfm")
    shutil.copy(paths.embeddings("larp_ttc"), paths.transferred_embeddings("larp_tpc_fusion", "mpd"))
    for number, dataset in enumerate(scored.datasets):
        uris = [f"uri{t}" if t % 2 else f"{number}-{t}" for t in range(150)]
        frame = pl.DataFrame({"track_id": range(150), "track_uri": uris}, schema_overrides={"track_id": pl.Int32})
        own = scored.paths(dataset)
        write_parquet(frame, own.tracks)
    # MPD trains on what LFM tests: tracks 90 to 149.
    split = pl.read_parquet(scored.paths("mpd").split_tracks)
    swapped = split.with_columns(
        pl.when(pl.col("track_id") >= 90).then(pl.lit("train")).otherwise("split").alias("split")
    )
    write_parquet(swapped, scored.paths("mpd").split_tracks)
    return scored


def test_the_row_trained_elsewhere_is_scored_like_the_others(transferred: Settings) -> None:
    job_named("table_4", transferred).work()
    table = pl.read_parquet(transferred.shared.reports / "table_4.parquet")
    paths = transferred.paths("lfm")
    frame = evaluate_itemknn(load_holdouts(paths, "test"), *load_vectors(paths.embeddings("larp_ttc")), (10,))
    slow = frame.filter(metric="recall")["value"].mean()
    assert set(table["dataset"]) == {"lfm"}
    row = table.filter(row="LARP-TPC-fusion (trained on mpd)", metric="recall", k=10)
    assert row["value"].to_list() == pytest.approx([slow])
    assert row["ci_low"][0] < slow < row["ci_high"][0]
    assert table["row"].unique(maintain_order=True).to_list()[-2:] == ["LARP-TPC-fusion (trained on mpd)", "oracle"]


def test_songs_that_both_datasets_have_are_counted_and_theirs_is_not_shown_for_the_demo(transferred: Settings) -> None:
    job_named("table_4", transferred).work()
    text = (transferred.shared.reports / "table_4.md").read_text()
    assert "Of its 60 test tracks 30 are train tracks of mpd" in text
    assert "(paper)" not in text and "MULE: weights not found" in text


def test_theirs_stand_beside_ours_on_real_data_marked_as_theirs(transferred: Settings) -> None:
    real = dataclasses.replace(transferred, mpd_dir=transferred.data_dir, lfm_dir=transferred.data_dir)
    job_named("table_4", real).work()
    text = (real.shared.reports / "table_4.md").read_text()
    assert "row (paper)" in text and "0.1311" in text and "theirs" in text


def test_one_dataset_alone_says_what_is_missing(transferred: Settings) -> None:
    alone = dataclasses.replace(transferred, datasets=("lfm",))
    assert job_named("transfer", alone).outputs == []
    assert "mpd is missing" in job_named("transfer", alone).work().facts["not run"]
    report = job_named("table_4", alone).work()
    assert report.num_rows == 0
    assert "Million Playlist Dataset to train on" in (alone.shared.reports / "table_4.md").read_text()
