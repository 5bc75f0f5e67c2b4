"""The three tables: schema, content against a naive twin, ids that stay when data is added, and what was left out."""

from __future__ import annotations

import json
import random
from pathlib import Path

import polars as pl
import pytest
from data_files import mpd_playlist, mpd_uri, write_lfm, write_slice
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive_mpd import NaiveTables, read_naively

from larp_core.data import merge
from larp_core.data.readers import mpd
from larp_core.graph import memo
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import hash_file

INTERACTIONS = {"playlist_id": pl.Int32, "track_id": pl.Int32, "position": pl.Int32, "played_at": pl.Datetime("us")}
SLICES = st.dictionaries(
    st.integers(0, 6),
    st.lists(
        st.builds(mpd_playlist, st.integers(0, 12), st.lists(st.integers(0, 9), min_size=1, max_size=5)), max_size=4
    ),
    min_size=1,
    max_size=4,
).filter(lambda slices: any(slices.values()))


def tables(job):
    job.work()
    return tuple(pl.read_parquet(path) for path in (job.paths.playlists, job.paths.tracks, job.paths.interactions))


def facts(job) -> dict:
    return job.work().facts


def assert_equal(found: tuple[pl.DataFrame, ...], naive: NaiveTables) -> None:
    """The same rows as the naive twin's, under dense ids, in the order of the ids."""
    playlists, tracks, interactions = found
    assert playlists["playlist_id"].to_list() == list(range(len(naive.playlists)))
    assert tracks["track_id"].to_list() == list(range(len(naive.tracks)))
    assert dict(playlists.select("source_id", "name").iter_rows()) == naive.playlists
    assert {row[0]: row[1:] for row in tracks.drop("track_id").iter_rows()} == naive.tracks
    keys = interactions.join(playlists, on="playlist_id").join(tracks, on="track_id")
    rows = {
        (source_id, uri): at for source_id, uri, at in keys.select("source_id", "track_uri", "position").iter_rows()
    }
    assert rows == naive.interactions and interactions.height == len(rows)
    assert interactions.equals(interactions.sort("playlist_id", "position", "track_id"))
    sizes = interactions.group_by("playlist_id").len().sort("playlist_id")
    assert playlists["num_tracks"].to_list() == sizes["len"].to_list()


def rewrite(folder: Path, slices: dict[int, list[dict]]) -> list[Path]:
    for path in folder.glob("*.json"):
        path.unlink()
    return [write_slice(folder, number * 1000, slices[number]) for number in sorted(slices)]


def test_schema_of_both_datasets(tmp_path, make_job):
    write_slice(tmp_path / "mpd", 0, [mpd_playlist(3, [5, 6])])
    write_lfm(tmp_path / "lfm", [(1, 1, 1, "2020-01-01 00:00:00")], [(1, "A", "x")])
    for dataset in ("mpd", "lfm"):
        playlists, tracks, interactions = tables(make_job("playlists", tmp_path / dataset, dataset))
        assert dict(interactions.schema) == INTERACTIONS
        assert list(playlists.schema) == ["playlist_id", "source_id", "name", "description", "num_tracks"]
        assert (
            playlists.schema["playlist_id"] == playlists.schema["num_tracks"] == tracks.schema["track_id"] == pl.Int32
        )
        assert (
            tracks.columns[:3] == ["track_id", "track_uri", "track_name"] and tracks.schema["duration_ms"] == pl.Int32
        )


def test_tables_hold_what_the_slices_hold(tmp_path, make_job):
    write_slice(tmp_path / "mpd", 0, [mpd_playlist(30, [5, 6, 5]), mpd_playlist(20, [7, 5])])
    write_slice(tmp_path / "mpd", 1000, [mpd_playlist(40, [6, 8]), mpd_playlist(20, [99])])
    job = make_job("playlists", tmp_path / "mpd")
    playlists, tracks, interactions = tables(job)
    assert playlists.drop("description").rows() == [
        (0, "30", "list 30", 2),
        (1, "20", "list 20", 2),
        (2, "40", "list 40", 2),
    ]
    assert tracks.select("track_id", "track_uri").rows() == [(n, mpd_uri(uri)) for n, uri in enumerate([5, 6, 7, 8])]
    pairs = interactions.select("playlist_id", "track_id", "position").rows()
    assert pairs == [(0, 0, 0), (0, 1, 1), (1, 2, 0), (1, 0, 1), (2, 1, 0), (2, 3, 1)]
    report = job.work()
    assert {row["reason"]: row["num_rows"] for row in report.tables["left out"]} == {
        "repeats of a track within a playlist (kept once)": 1,
        merge.IN_EARLIER_FILE: 1,
    }
    rejects = pl.read_parquet(job.paths.rejects)
    assert rejects.filter(reason=merge.IN_EARLIER_FILE).row(0) == (
        "mpd.slice.1000-1999.json",
        merge.IN_EARLIER_FILE,
        1,
        "playlist 20",
    )
    assert report.facts["num_interactions"] + report.facts["num_rejected_rows"] == 8


def test_real_sample_equals_the_naive_reading(sample_data, make_job):
    naive = read_naively(mpd.find_files(sample_data / "mpd"))
    job = make_job("playlists", sample_data / "mpd")
    assert_equal(tables(job), naive)
    assert pl.read_parquet(job.paths.rejects)["num_rows"].sum() + len(naive.interactions) == naive.num_rows


@given(first=SLICES, second=SLICES, block=st.sampled_from([1, 5, 1_000_000]))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_files_after_any_others_equal_the_naive_reading(
    first, second, block, tmp_path_factory, make_job, monkeypatch
):
    """Content depends on the files alone; ids known before stay, unless something known has gone."""
    monkeypatch.setattr(merge, "BATCH_TRACKS", block)
    monkeypatch.setattr(merge, "BLOCK_ROWS", block)
    folder = tmp_path_factory.mktemp("mpd")
    job = make_job("playlists", folder)
    for path in (job.paths.playlists, job.paths.tracks, job.paths.interactions):
        path.unlink(missing_ok=True)
    before = None
    for slices in (first, second):
        naive = read_naively(rewrite(folder, slices))
        found = tables(job)
        assert_equal(found, naive)
        num_rejected = pl.read_parquet(job.paths.rejects)["num_rows"].sum()
        assert naive.num_rows == found[2].height + num_rejected
        if (
            before
            and set(before[0]["source_id"]) <= set(naive.playlists)
            and set(before[1]["track_uri"]) <= set(naive.tracks)
        ):
            assert found[0].head(before[0].height)["source_id"].equals(before[0]["source_id"])
            assert found[1].head(before[1].height)["track_uri"].equals(before[1]["track_uri"])
        before = found


def test_a_slice_added_in_the_middle_moves_no_id_and_is_the_only_one_read(tmp_path, make_job):
    write_slice(tmp_path / "mpd", 0, [mpd_playlist(1, [5, 6]), mpd_playlist(2, [6, 7])])
    write_slice(tmp_path / "mpd", 2000, [mpd_playlist(4, [8, 5])])
    job = make_job("playlists", tmp_path / "mpd")
    assert {key: value for key, value in facts(job).items() if "files" in key or "added" in key} == {
        "files_read": 2,
        "files_reused": 0,
        "playlists_added": 3,
        "tracks_added": 4,
        "interactions_added": 6,
    }
    before = tables(job)
    write_slice(tmp_path / "mpd", 1000, [mpd_playlist(3, [9, 5, 6])])
    assert {key: value for key, value in facts(job).items() if "files" in key or "added" in key} == {
        "files_read": 1,
        "files_reused": 2,
        "playlists_added": 1,
        "tracks_added": 1,
        "interactions_added": 3,
    }
    for old, new in zip(before, tables(job), strict=True):
        assert new.height > old.height and new.head(old.height).equals(old)


def test_when_something_known_goes_all_is_numbered_again_and_said(tmp_path, make_job):
    gone = write_slice(tmp_path / "mpd", 0, [mpd_playlist(1, [5, 6])])
    write_slice(tmp_path / "mpd", 1000, [mpd_playlist(2, [6, 7])])
    job = make_job("playlists", tmp_path / "mpd")
    tables(job)
    gone.unlink()
    assert facts(job)["ids"] == "counted from 0 again, since 1 playlists and 1 tracks are there no more"
    assert not (job.paths.parts / gone.name).exists()
    playlists, tracks, _ = tables(job)
    assert playlists.select("playlist_id", "source_id").rows() == [(0, "2")]
    assert tracks["track_uri"].to_list() == [mpd_uri(6), mpd_uri(7)]


def test_bytes_are_repeatable_on_any_number_of_processes(tmp_path, make_job, monkeypatch):
    random.seed(3)
    for number in range(50):  # enough for the reader to start processes
        playlists = [mpd_playlist(number * 10 + i, random.choices(range(300), k=9)) for i in range(3)]
        write_slice(tmp_path / "mpd", number * 1000, playlists)
    job = make_job("playlists", tmp_path / "mpd")
    outputs = [job.paths.playlists, job.paths.tracks, job.paths.interactions, job.paths.rejects]
    job.work()
    digests = [hash_file(path) for path in outputs]
    parts = hash_file(job.paths.parts / "mpd.slice.7000-7999.json" / "tracks.parquet")
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    for path in [*outputs, *job.paths.parts.glob("*/*")]:
        path.unlink()
    job.work()
    assert [hash_file(path) for path in outputs] == digests
    assert hash_file(job.paths.parts / "mpd.slice.7000-7999.json" / "tracks.parquet") == parts
    job.work()
    assert [hash_file(path) for path in outputs] == digests, "and when all is known"


def test_broken_slices_are_listed_and_the_rest_goes_on(tmp_path, make_job):
    write_slice(tmp_path / "mpd", 0, [mpd_playlist(1, [5, 6])])
    whole = json.dumps({"playlists": [mpd_playlist(2, [7]), mpd_playlist(3, [8])]})
    (tmp_path / "mpd" / "mpd.slice.1000-1999.json").write_text(whole[:-20])
    (tmp_path / "mpd" / "mpd.slice.2000-2999.json").write_text("{}")
    job = make_job("playlists", tmp_path / "mpd")
    playlists, _, interactions = tables(job)
    assert playlists["source_id"].to_list() == ["1", "2"] and interactions.height == 3
    rejects = pl.read_parquet(job.paths.rejects).select("file", "num_rows", "first_place").rows()
    assert rejects == [("mpd.slice.1000-1999.json", 1, "playlists[1]"), ("mpd.slice.2000-2999.json", 1, "")]


def test_an_unreadable_slice_is_tried_again(tmp_path, make_job):
    write_slice(tmp_path / "mpd", 0, [mpd_playlist(1, [5, 6])])
    later = tmp_path / "elsewhere"
    (tmp_path / "mpd" / "mpd.slice.1000-1999.json").symlink_to(later / "mpd.slice.1000-1999.json")
    job, source = make_job("playlists", tmp_path / "mpd"), make_job("source", tmp_path / "mpd")
    memo.run(source)
    assert memo.run(job).report.facts["num_playlists"] == 1
    assert memo.finished(job) is None
    write_slice(later, 1000, [mpd_playlist(2, [7])])
    memo.run(source)
    assert memo.run(job).report.facts["num_playlists"] == 2
    assert memo.finished(job) is not None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"playlists": [{"pid": 1, "tracks": []}]}, "1 playlists without a track"),
        ({}, "1 field `playlists` is missing"),
    ],
)
def test_nothing_usable_is_refused_with_the_reason(tmp_path, make_job, content, reason):
    write_slice(tmp_path / "mpd", 0, [])
    (tmp_path / "mpd" / "mpd.slice.0-999.json").write_text(json.dumps(content))
    job = make_job("playlists", tmp_path / "mpd")
    with pytest.raises(UserError, match=reason) as caught:
        job.work()
    assert "\n" not in str(caught.value) and str(job.paths.rejects) in str(caught.value)
    assert pl.read_parquet(job.paths.rejects).height == 1
