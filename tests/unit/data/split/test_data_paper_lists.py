"""The authors' published track lists: read in both formats, refused when bad, and their coverage of a dataset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from data_files import mpd_playlist, mpd_uri, write_slice
from naive_split import naive_split

from larp_core.config import SplitConfig
from larp_core.data.split.leaks import check_leaks
from larp_core.data.split.paper_lists import load_paper_lists
from larp_core.graph.registry import job_named
from larp_core.runtime.errors import UserError

CONFIG = SplitConfig(policy=(("mpd", "paper_lists"),), track_fractions=(0.8, 0.1, 0.1), min_tracks=4, max_tracks=6)


def write_list(path: Path, uris: list[str], **columns: list[float]) -> Path:
    times = {"start": [float(n) for n in range(len(uris))], "end": [n + 10.0 for n in range(len(uris))]} | columns
    frame = pl.DataFrame({"track_uri": uris, "meta_caption": ['x, "y"'] * len(uris), **times})
    path.parent.mkdir(parents=True, exist_ok=True)
    (frame.write_csv if path.suffix == ".csv" else frame.write_parquet)(path)
    return path


def test_both_formats_prefixes_and_repeats(tmp_path):
    write_list(tmp_path / "mpd_valid.csv", ["spotify:track:a", "b", "c"])
    write_list(tmp_path / "mpd_test.parquet", ["c", "d", "d"])
    assert load_paper_lists(tmp_path, "mpd").sort("track_uri").rows() == [
        ("a", 0.0, 10.0, "valid"),
        ("b", 1.0, 11.0, "valid"),
        ("c", 0.0, 10.0, "test"),
        ("d", 1.0, 11.0, "test"),
    ]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "LARP_PAPER_LISTS_DIR: .* holds no mpd_test.parquet or mpd_test.csv"),
        (lambda path: path.write_bytes(b"PAR1 not really"), "mpd_test.parquet: can't be read as a list of tracks"),
        (lambda path: pl.DataFrame({"track_uri": ["a"], "end": [1.0]}).write_parquet(path), "lacks the column 'start'"),
        (lambda path: write_list(path, ["a"], start=["soon"]), "can't be read as a list of tracks"),
        (lambda path: write_list(path, []), "names no track"),
    ],
)
def test_bad_lists_are_refused_by_name(tmp_path, damage, message):
    write_list(tmp_path / "mpd_valid.csv", ["a"])
    damage(write_list(tmp_path / "mpd_test.parquet", ["b"]))
    with pytest.raises(UserError, match=message):
        load_paper_lists(tmp_path, "mpd")


def test_the_published_lists_have_the_papers_counts(sample_data):
    counts = {
        dataset: load_paper_lists(sample_data / "paper_lists", dataset).group_by("split").len().rows()
        for dataset in ("mpd", "lfm")
    }
    assert {name: dict(rows) for name, rows in counts.items()} == {
        "mpd": {"valid": 16_760, "test": 6_978},
        "lfm": {"valid": 19_341, "test": 17_439},
    }


@pytest.fixture
def listed(tmp_path, run_steps):
    """Forty playlists over 200 tracks, of three kinds; the lists also name tracks that nobody has."""
    kinds = [[n for n in range(200) if n % 10 in kind] for kind in ({0, 1, 2, 9}, {5, 6, 7, 8}, {3, 4, 7, 8, 9})]
    lists = [(kinds[pid % 3] * 2)[pid : pid + 12] for pid in range(40)]
    write_slice(tmp_path / "mpd", 0, [mpd_playlist(pid, numbers) for pid, numbers in enumerate(lists)])
    sides = {mpd_uri(n): "valid" if n % 10 < 3 else "test" for n in range(230) if n % 10 in (0, 1, 2, 5, 6, 7)}
    for split in ("valid", "test"):
        write_list(tmp_path / "lists" / f"mpd_{split}.csv", [uri for uri, side in sides.items() if side == split])
    job = run_steps("playlists", tmp_path / "mpd", split=CONFIG)
    settings = replace(job.settings, paper_lists_dir=tmp_path / "lists")
    return job_named("cold_start_split", settings, "mpd"), lists, sides


def test_valid_and_test_are_exactly_the_lists(listed):
    job, lists, sides = listed
    report = job.work()
    tracks = pl.read_parquet(job.paths.split_tracks).join(pl.read_parquet(job.paths.tracks), on="track_id")
    found = dict(tracks.filter(pl.col("split") != "train").select("track_uri", "split").rows())
    there = {mpd_uri(n) for numbers in lists for n in numbers}
    assert found == {uri: side for uri, side in sides.items() if uri in there}
    playlists = {str(pid): list(dict.fromkeys(map(mpd_uri, numbers))) for pid, numbers in enumerate(lists)}
    expected = naive_split("paper_lists", playlists, CONFIG, lists=sides)
    held_out = pl.read_parquet(job.paths.holdouts).join(pl.read_parquet(job.paths.playlists), on="playlist_id")
    held_out = held_out.join(tracks, on="track_id").select("source_id", "split", "track_uri")
    assert set(held_out.rows()) == {(p, s, t) for p, (s, ts) in expected.items() if s != "train" for t in ts}
    assert check_leaks(job.paths).is_clean
    for row in report.tables["paper lists"]:
        listed_uris = {uri for uri, side in sides.items() if side == row["split"]}
        played = {t for s, ts in expected.values() if s == row["split"] for t in ts}
        assert (row["listed"], row["present"]) == (len(listed_uris), len(listed_uris & there))
        assert row["in_kept_playlists"] == len(played) and row["present_share"] == round(
            row["present"] / row["listed"], 4
        )


def test_without_the_folder_the_variable_is_named(listed):
    job, _, _ = listed
    with pytest.raises(UserError, match="set LARP_PAPER_LISTS_DIR to the folder"):
        replace(job, settings=replace(job.settings, paper_lists_dir=None)).work()


def test_real_lists_on_real_playlists(sample_data, run_steps):
    """In 300 of a million playlists few of the tracks are there, and where none is held out the settings are named."""
    config = replace(CONFIG, min_tracks=1)
    job = run_steps("playlists", sample_data / "mpd", split=config)
    settings = replace(job.settings, paper_lists_dir=sample_data / "paper_lists")
    report = job_named("cold_start_split", settings, "mpd").work()
    uris = set(pl.read_parquet(job.paths.tracks)["track_uri"])
    for row in report.tables["paper lists"]:
        listed = set(pl.read_parquet(sample_data / "paper_lists" / f"mpd_{row['split']}.parquet")["track_uri"])
        assert row["present"] == len(listed & uris) > 0
