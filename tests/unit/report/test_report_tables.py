"""Tables 1 to 3 on two tiny datasets: counts against slow twins, names, bold, marks and captions."""

import dataclasses
import itertools
import re

import numpy as np
import polars as pl
import pytest

from larp_core.config.encoders import ENCODERS
from larp_core.config.settings import Settings
from larp_core.evaluation.names import DISPLAY_NAMES
from larp_core.evaluation.split_statistics import homogeneity, playlist_members
from larp_core.graph.registry import job_named
from larp_core.report.tables import TABLE_2_ENCODERS
from larp_core.runtime.files import hash_file, write_parquet
from larp_core.runtime.report import Report


def build(settings: Settings, name: str) -> tuple[Report, pl.DataFrame, str]:
    job = job_named(name, settings)
    report = job.work()
    return report, pl.read_parquet(job.outputs[0]), job.outputs[1].read_text(encoding="utf-8")


def test_every_encoder_has_a_display_name() -> None:
    assert set(DISPLAY_NAMES) == set(ENCODERS)
    assert len(set(DISPLAY_NAMES.values())) == len(ENCODERS)


def test_table_1_counts_what_is_there(scored: Settings) -> None:
    report, frame, text = build(scored, "table_1")
    assert report.num_rows == 6
    test = frame.filter(dataset="lfm", split="test").row(0, named=True)
    assert (test["num_tracks"], test["num_playlists"], test["tracks_per_playlist"]) == (60, 24, 10.0)
    assert test["playlists_per_track"] == pytest.approx(24 * 10 / 60)
    train = frame.filter(dataset="mpd", split="train").row(0, named=True)
    assert (train["num_tracks"], train["num_playlists"], train["homogeneity"]) == (60, 6, None)
    assert (train["paper_num_tracks"], train["paper_num_playlists"]) == (98_552, None)
    assert frame.filter(dataset="lfm", split="test")["paper_homogeneity"].to_list() == [0.56]
    assert frame.filter(split="valid")["paper_num_tracks"].to_list() == [None, None]
    assert "homogeneity (paper)" in text and "LARP-WTC" in text


def test_train_playlists_count_only_train_tracks(scored: Settings) -> None:
    paths = scored.paths("mpd")
    before = playlist_members(paths)
    stray = pl.DataFrame({"playlist_id": [0, 0], "track_id": [100, 0], "position": [10, 11]})
    write_parquet(pl.concat([pl.read_parquet(paths.interactions), stray.cast(pl.Int32)]), paths.interactions)
    write_parquet(pl.concat([pl.read_parquet(paths.interactions)] * 2), paths.interactions)
    added = playlist_members(paths).join(before, on=["playlist_id", "track_id"], how="anti")
    assert set(added["track_id"]) <= {0}


def test_homogeneity_equals_all_pairs(scored: Settings) -> None:
    paths = scored.paths("mpd")
    members = playlist_members(paths).filter(pl.col("split") == "test")
    frame = pl.read_parquet(paths.embeddings("larp_wtc")).drop_nulls("audio_vector")
    vectors = {t: np.array(v) for t, v in frame.select("track_id", "audio_vector").iter_rows()}
    means = []
    for group in members.partition_by("playlist_id"):
        known = [vectors[t] for t in group["track_id"] if t in vectors]
        pairs = itertools.combinations(known, 2)
        means.append(np.mean([a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairs]))
    value, num_playlists = homogeneity(paths, members)
    assert value == pytest.approx(np.mean(means))
    assert num_playlists == 24


def test_homogeneity_without_sound_is_null(scored: Settings) -> None:
    path = scored.paths("mpd").embeddings("larp_wtc")
    silent = pl.lit(None, pl.List(pl.Float32)).alias("audio_vector")
    write_parquet(pl.read_parquet(path).with_columns(silent), path)
    _, frame, text = build(scored, "table_1")
    assert frame.filter(dataset="mpd", split="test")["homogeneity"].to_list() == [None]
    assert frame.filter(dataset="lfm", split="test")["homogeneity"][0] is not None
    assert "(0 in mpd, 24 in lfm)" in text


TABLE_2_METADATA = ["random", "same artist", "artist + album", "artist co-occurrence", "caption TF-IDF"]
TABLE_3 = [
    *("random", "caption TF-IDF", "BERT", "HTS-AT (untrained)", "LARP-WTC", "LARP-TTC", "TTC continued", "LARP-TPC"),
    *("LARP-TPC-fusion", "hybrid: metadata alone", "hybrid: metadata + LARP-TTC", "hybrid: metadata + LARP-TPC"),
    *("hybrid: metadata + LARP-TPC-fusion", "oracle"),
]
TABLE_2_HYBRIDS = ["hybrid: metadata alone", "hybrid: metadata + LARP-TPC-fusion"]
RECOMMENDERS = ["ItemKNN", "DropoutNet", "CLCRec"]
VARIANTS = ["ItemKNN (dot)", "ItemKNN (centred)", "ItemKNN (whitened)", "ItemKNN (nearest seed)"]


def rows_of(frame: pl.DataFrame) -> list[tuple[str, str]]:
    return frame.select("row", "recommender").unique(maintain_order=True).rows()


def test_table_3_has_the_stages_under_itemknn(scored: Settings) -> None:
    report, frame, _ = build(scored, "table_3")
    assert report.num_rows == frame.height == len(TABLE_3) * 6 * 2
    for dataset in ("mpd", "lfm"):
        rows = rows_of(frame.filter(dataset=dataset))
        assert [name for name, _ in rows] == TABLE_3
        assert {recommender for _, recommender in rows} == {"–", "ItemKNN"}


def test_table_2_has_every_encoder_under_every_recommender(scored: Settings) -> None:
    """Grouped by recommender as in the paper, rows without a model once; other similarities in a table below."""
    report, frame, text = build(scored, "table_2")
    columns = ["dataset", "row", "recommender", "metric", "k", "value", "ci_low", "ci_high", "at_chance", "missing"]
    assert frame.columns == [*columns, "paper_value"]
    encoders = [name for key, name in TABLE_2_ENCODERS.items() if key in ENCODERS]
    grouped = [(name, recommender) for recommender in RECOMMENDERS for name in encoders]
    below = [(name, variant) for name in encoders for variant in VARIANTS]
    for dataset in ("mpd", "lfm"):
        without = [(name, "–") for name in [*TABLE_2_HYBRIDS, "oracle"]]
        expected = [*((name, "–") for name in TABLE_2_METADATA), *grouped, *without, *below]
        assert rows_of(frame.filter(dataset=dataset)) == expected
        for recommender in [*RECOMMENDERS, *VARIANTS]:
            scores = pl.read_parquet(scored.paths(dataset).scores("larp_tpc_fusion"))
            scores = scores.filter(recommender=recommender, metric="ndcg", k=20)
            shown = frame.filter(dataset=dataset, row="LARP (TPC-fusion)", recommender=recommender)
            assert shown.filter(metric="ndcg", k=20)["value"].to_list() == scores["value"].to_list()
    lines = [line for line in text.splitlines() if line.startswith("| LARP (TPC-fusion) ")]
    assert len(lines) == len([*RECOMMENDERS, *VARIANTS]) * 2 * 2
    assert len([line for line in text.splitlines() if line.startswith("| MULE ")]) == len(RECOMMENDERS) * 2 * 2
    shown_rows = next(iter(report.tables.values()))
    assert [(row["row"], row["recommender"]) for row in shown_rows] == expected[: -len(below)]


def test_the_papers_figures_stand_beside_real_datasets_alone(scored: Settings) -> None:
    for name in ("table_2", "table_3"):
        _, frame, text = build(scored, name)
        assert frame["paper_value"].null_count() == frame.height and "(paper)" not in text
    real = dataclasses.replace(scored, mpd_dir=scored.data_dir, lfm_dir=scored.data_dir)
    _, frame, text = build(real, "table_2")
    for dataset, recommender, metric, k, value in [
        ("mpd", "ItemKNN", "recall", 10, 0.0406),
        ("mpd", "DropoutNet", "ndcg", 10, 0.2171),
        ("lfm", "CLCRec", "recall", 40, 0.0423),
    ]:
        row = frame.filter(dataset=dataset, row="LARP (TPC-fusion)", recommender=recommender, metric=metric, k=k)
        assert row["paper_value"].to_list() == [value] != row["value"].to_list()
    assert frame.filter(row="mel statistics")["paper_value"].null_count() == frame.filter(row="mel statistics").height
    assert text.count("Columns marked (paper) are LARP's own published figures") == 2
    header = next(line for line in text.splitlines() if line.startswith("| row "))
    assert [cell.strip() for cell in header.strip("|").split("|")][2:4] == ["R@10", "R@10 (paper)"]
    _, frame, _ = build(real, "table_3")
    assert frame.filter(dataset="lfm", row="LARP-TTC", metric="ndcg", k=10)["paper_value"].to_list() == [0.0587]


def test_bold_is_the_best_learned_row(scored: Settings) -> None:
    """Mel statistics and TF-IDF are planted to be better, and HTS-AT is untrained: none of them is learned. Hybrids are
    no encoders."""
    _, frame, text = build(scored, "table_3")
    others = ("random", "oracle", "caption TF-IDF", "HTS-AT (untrained)")
    learned = frame.filter(~pl.col("row").is_in(others) & ~pl.col("row").str.starts_with("hybrid"))
    best = learned.filter(pl.col("value") == pl.col("value").max().over("dataset", "metric", "k"))
    expected = {f"{row['value']:.4f} [{row['ci_low']:.4f}, {row['ci_high']:.4f}]" for row in best.iter_rows(named=True)}
    assert set(re.findall(r"\*\*(\d.+?)\*\*", text)) == expected
    assert "LARP-TTC" in best["row"].to_list()
    _, _, text = build(scored, "table_2")
    assert not re.search(r"^\| (mel statistics|caption|oracle) .*\*\*", text, flags=re.MULTILINE)


def test_chance_is_marked(scored: Settings) -> None:
    _, frame, text = build(scored, "table_3")
    marked = frame.filter(dataset="mpd", row="HTS-AT (untrained)", metric="recall").sort("k")["at_chance"].to_list()
    line = next(line for line in text.splitlines() if line.startswith("| HTS-AT (untrained)"))
    cells = [cell.strip() for cell in line.strip("|").split("|")][2:]
    assert any(marked)
    assert [cell.endswith(r"\*") for cell in cells] == marked


def test_an_encoder_without_weights_keeps_its_row_and_says_why(scored: Settings) -> None:
    reason = "weights not found: set LARP_EXAMPLE"
    empty = pl.DataFrame(schema={"track_id": pl.Int32, "vector": pl.List(pl.Float32)})
    write_parquet(empty, scored.paths("mpd").embeddings("bert"), metadata={"missing": reason})
    job_named("scores/bert", scored, "mpd").work()
    report, frame, text = build(scored, "table_3")
    row = frame.filter(dataset="mpd", row="BERT")
    assert row["value"].to_list() == [None] * 6 and set(row["missing"]) == {reason}
    assert frame.filter(dataset="lfm")["missing"].null_count() == frame.filter(dataset="lfm").height
    assert text.count(f"- BERT: {reason}") == 1
    line = next(line for line in text.splitlines() if line.startswith("| BERT "))
    assert [cell.strip() for cell in line.strip("|").split("|")] == ["BERT", "ItemKNN", "–", "–", "–"]
    (shown,) = [line for line in next(iter(report.tables.values())) if line["row"] == "BERT"]
    assert shown["R@10"] == "–"


def test_captions_say_how_it_was_measured(scored: Settings) -> None:
    _, _, text = build(scored, "table_2")
    assert text.count("24 test playlists; seeds: round(0.5 n)") == 2
    assert text.count("the 60 test tracks but the playlist's seeds") == 2
    assert "bootstrap 95% intervals over playlists (200 resamples)" in text
    assert "one seed, 42. WMF, which DropoutNet regresses to: ALS." in text
    assert "CLAP-FT and LARP: audio tower HTS-AT from scratch, text tower BERT from scratch." in text
    assert str(scored.data_dir) not in text


def test_titles_tell_the_demo_world_from_the_dataset(scored: Settings) -> None:
    _, _, text = build(scored, "table_2")
    assert "## Demo world in the LFM-2b's format (lfm)" in text
    real = dataclasses.replace(scored, mpd_dir=scored.data_dir, lfm_dir=scored.data_dir)
    _, _, text = build(real, "table_2")
    assert "## LFM-2b (lfm)" in text and "Demo world" not in text


def test_one_dataset_makes_one_section(scored: Settings) -> None:
    alone = dataclasses.replace(scored, datasets=("lfm",))
    report, frame, text = build(alone, "table_3")
    assert frame["dataset"].unique().to_list() == ["lfm"]
    assert text.count("## ") == len(report.tables) == 1


def test_tables_repeat_byte_for_byte(scored: Settings) -> None:
    for name in ("table_1", "table_2", "table_3"):
        job = job_named(name, scored)
        job.work()
        first = [hash_file(path) for path in job.outputs]
        job.work()
        assert [hash_file(path) for path in job.outputs] == first
