"""The score files: schema, derivation from the per-playlist values, chance marks, and what the report says."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from benchmark_world import write_embeddings

from larp_core.config import EvaluationConfig
from larp_core.config.paths import DatasetPaths
from larp_core.config.settings import Settings
from larp_core.evaluation.bootstrap import bootstrap_intervals
from larp_core.evaluation.holdouts import load_holdouts
from larp_core.evaluation.metrics import values_frame
from larp_core.evaluation.rankings import load_rankings, values_of, write_rankings
from larp_core.evaluation.score_files import summarise
from larp_core.evaluation.vectors import load_vectors
from larp_core.graph.job import Job
from larp_core.graph.registry import job_named
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import hash_file, write_parquet

SCHEMA = {
    "recommender": pl.String,
    "metric": pl.String,
    "k": pl.Int32,
    "value": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "num_playlists": pl.Int32,
    "seed": pl.Int64,
    "at_chance": pl.Boolean,
}


def job_of(settings: Settings, name: str) -> Job:
    return job_named(f"scores/{name}", settings, "mpd")


@pytest.mark.parametrize("name", ["metadata", "larp_ttc"])
def test_summary_follows_from_the_playlists(settings: Settings, paths: DatasetPaths, name: str) -> None:
    write_embeddings(paths, "larp_ttc", 3.0, pretrained=False)
    report = job_of(settings, name).work()
    summary, playlists = pl.read_parquet(paths.scores(name)), pl.read_parquet(paths.scores(f"{name}_playlists"))
    assert summary.schema == SCHEMA
    assert playlists.columns == ["recommender", "playlist_id", "metric", "k", "value"]
    assert report.num_rows == summary.height == 6 * summary["recommender"].n_unique()
    for row in summary.iter_rows(named=True):
        own = playlists.filter(pl.all_horizontal(pl.col(c) == row[c] for c in ("recommender", "metric", "k")))
        interval = bootstrap_intervals(own.sort("playlist_id").select("value").to_numpy(), samples=200)[0]
        assert (row["value"], row["ci_low"], row["ci_high"]) == pytest.approx(interval)
        assert row["num_playlists"] == own.height == 24


def test_signal_is_told_from_chance_and_noise_is_not(settings: Settings, paths: DatasetPaths) -> None:
    write_embeddings(paths, "larp_ttc", 3.0, pretrained=False)
    write_embeddings(paths, "htsat", 0.0, pretrained=False)
    for name in ("larp_ttc", "htsat", "metadata"):
        job_of(settings, name).work()
    marks = {name: pl.read_parquet(paths.scores(name)).filter(recommender="ItemKNN") for name in ("larp_ttc", "htsat")}
    assert not marks["larp_ttc"]["at_chance"].any()
    assert marks["htsat"]["at_chance"].any()
    marks = pl.read_parquet(paths.scores("metadata")).group_by("recommender").agg(pl.all("at_chance").all())
    assert dict(marks.select("recommender", "at_chance").iter_rows())["random"] is True
    assert dict(marks.select("recommender", "at_chance").iter_rows())["oracle"] is False


def test_mark_covers_intervals_that_hold_chance_or_lie_below() -> None:
    chance = values_frame(np.arange(50), {"recall": np.full((50, 1), 0.2), "ndcg": np.full((50, 1), 0.2)}, (10,))
    noise = np.random.default_rng(0).normal(0, 0.05, size=(50, 1))
    for level, mark in {0.1: True, 0.2: True, 0.3: False}.items():
        frame = values_frame(np.arange(50), {"recall": level + noise, "ndcg": level + noise}, (10,))
        summary = summarise(frame, chance, EvaluationConfig())
        assert summary["at_chance"].to_list() == [mark, mark]


def test_report_stands_beside_chance_and_ceiling(settings: Settings, paths: DatasetPaths) -> None:
    write_embeddings(paths, "larp_ttc", 3.0, pretrained=False)
    report = job_of(settings, "larp_ttc").work()
    assert report.facts["num_candidates"] == 60
    assert report.facts["num_candidates_with_vector"] == 59
    assert report.facts["num_test_playlists"] == 24
    (rows,) = report.tables.values()
    assert [row["recommender"] for row in rows][:3] == ["random", "oracle", "ItemKNN"]
    assert list(rows[0]) == ["recommender", "R@10", "R@20", "R@40", "N@10", "N@20", "N@40"]
    assert rows[0]["R@10"].startswith("0.1818 [")
    assert rows[1]["N@10"] == "1.0000 [1.0000, 1.0000]"


def test_footer_hands_on_whether_pretrained(settings: Settings, paths: DatasetPaths) -> None:
    for encoder, pretrained in {"bert": True, "htsat": False}.items():
        write_embeddings(paths, encoder, 1.0, pretrained=pretrained)
        job_of(settings, encoder).work()
        assert pl.read_parquet_metadata(paths.scores(encoder))["pretrained"] == str(pretrained).lower()


def test_same_inputs_give_the_same_bytes(settings: Settings, paths: DatasetPaths) -> None:
    write_embeddings(paths, "larp_ttc", 1.0, pretrained=False)
    digests = []
    for order in (False, True):
        frame = pl.read_parquet(paths.embeddings("larp_ttc")).sort("track_id", descending=order)
        write_parquet(frame, paths.embeddings("larp_ttc"), metadata={"pretrained": "false"})
        job_of(settings, "larp_ttc").work()
        digests.append([hash_file(path) for path in job_of(settings, "larp_ttc").outputs])
    assert digests[0] == digests[1]


def test_vectors_may_be_lists_or_arrays(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    lists = pl.DataFrame({"track_id": [3, 1, 2], "vector": [[1.0, 2.0], None, [3.0, 4.0]]})
    for dtype in (pl.List(pl.Float32), pl.Array(pl.Float64, 2)):
        write_parquet(lists.cast({"vector": dtype}), path)
        track_ids, vectors = load_vectors(path)
        assert track_ids.tolist() == [3, 2]
        assert np.array_equal(vectors, np.array([[1, 2], [3, 4]], np.float32))


def test_bad_embeddings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    write_parquet(pl.DataFrame({"track_id": [1, 2], "vector": [[1.0], [1.0, 2.0]]}), path)
    with pytest.raises(ValueError, match="different lengths"):
        load_vectors(path)
    write_parquet(pl.DataFrame({"track_id": [1, 1], "vector": [[1.0], [2.0]]}), path)
    with pytest.raises(ValueError, match="stands twice"):
        load_vectors(path)
    write_parquet(
        pl.DataFrame({"track_id": [1], "vector": [None]}, schema_overrides={"vector": pl.List(pl.Float32)}), path
    )
    assert load_vectors(path)[1].shape == (0, 0)


@pytest.mark.parametrize("name", ["metadata", "larp_ttc"])
def test_values_follow_from_the_ranked_lists(settings: Settings, paths: DatasetPaths, name: str) -> None:
    write_embeddings(paths, "larp_ttc", 3.0, pretrained=False)
    job_of(settings, name).work()
    holdouts, ks = load_holdouts(paths, "test"), settings.recipe.evaluation.ks
    rankings = load_rankings(paths.rankings(name), holdouts)
    playlists = pl.read_parquet(paths.scores(f"{name}_playlists"))
    assert [r for r in playlists["recommender"].unique(maintain_order=True) if r in rankings] == list(rankings)
    assert set(playlists["recommender"]) - set(rankings) <= {"random", "oracle"}
    for recommender, lists in rankings.items():
        assert lists.shape == (len(lists), 24, max(ks)) and lists.dtype == np.int32
        for seeds, ranked in zip(holdouts.seeds, lists[0], strict=True):
            assert len(set(ranked)) == max(ks) and not set(ranked) & set(seeds)
        own = playlists.filter(recommender=recommender).drop("recommender")
        assert values_of(lists, holdouts, ks).equals(own)


def test_several_seeds_are_averaged_by_playlist(settings: Settings, paths: DatasetPaths) -> None:
    holdouts = load_holdouts(paths, "test")
    rng = np.random.default_rng(0)
    lists = np.stack([[rng.permutation(holdouts.candidates)[:40] for _ in range(24)] for _ in range(3)])
    write_rankings({"DropoutNet": lists}, holdouts, 7, paths.rankings("bert"), {})
    frame = pl.read_parquet(paths.rankings("bert"))
    assert frame["seed"].unique().sort().to_list() == [7, 8, 9]
    assert np.array_equal(load_rankings(paths.rankings("bert"), holdouts)["DropoutNet"], lists)
    each = [values_of(lists[i : i + 1], holdouts, (10,))["value"] for i in range(3)]
    assert values_of(lists, holdouts, (10,))["value"].to_list() == pytest.approx((sum(each) / 3).to_list())
    write_parquet(frame.filter(pl.col("playlist_id") != holdouts.playlist_ids[0]), paths.rankings("bert"))
    with pytest.raises(UserError, match="run its scores step again"):
        load_rankings(paths.rankings("bert"), holdouts)


def test_missing_weights_leave_empty_files_with_the_reason(settings: Settings, paths: DatasetPaths) -> None:
    reason = "weights not found: set LARP_EXAMPLE"
    empty = pl.DataFrame(schema={"track_id": pl.Int32, "vector": pl.List(pl.Float32)})
    write_parquet(empty, paths.embeddings("bert"), metadata={"missing": reason})
    job = job_of(settings, "bert")
    assert job.work().facts == {"missing": reason}
    for path in job.outputs:
        assert pl.read_parquet(path).is_empty()
        assert pl.read_parquet_metadata(path)["missing"] == reason
    assert pl.read_parquet(paths.scores("bert")).schema == SCHEMA
    assert load_rankings(paths.rankings("bert"), load_holdouts(paths, "test")) == {}
