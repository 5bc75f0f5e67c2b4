"""The three tables: schema, ids that stay when data is appended, and what was left out."""

from __future__ import annotations

import polars as pl
import pytest
from data_files import mpd_playlist, mpd_uri, write_lfm, write_slice

from larp_core.errors import UserError
from larp_core.files import hash_file

INTERACTIONS = {"playlist_id": pl.Int32, "track_id": pl.Int32, "position": pl.Int32, "played_at": pl.Datetime("us")}


def tables(job):
    job.work()
    return tuple(pl.read_parquet(path) for path in (job.paths.playlists, job.paths.tracks, job.paths.interactions))


def test_schema_of_both_datasets(tmp_path, make_job):
    write_slice(tmp_path / "mpd", 0, [mpd_playlist(3, [5, 6])])
    write_lfm(tmp_path / "lfm", [(1, 1, 1, "2020-01-01 00:00:00")], [(1, "A", "x")])
    for dataset in ("mpd", "lfm"):
        playlists, tracks, interactions = tables(make_job("playlists", tmp_path / dataset, dataset))
        assert dict(interactions.schema) == INTERACTIONS
        assert list(playlists.schema) == ["playlist_id", "source_id", "name", "num_tracks"]
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
    assert playlists.rows() == [(0, "30", "list 30", 2), (1, "20", "list 20", 2), (2, "40", "list 40", 2)]
    assert tracks.select("track_id", "track_uri").rows() == [(n, mpd_uri(uri)) for n, uri in enumerate([5, 6, 7, 8])]
    pairs = interactions.select("playlist_id", "track_id", "position").rows()
    assert pairs == [(0, 0, 0), (0, 1, 1), (1, 2, 0), (1, 0, 1), (2, 1, 0), (2, 3, 1)]
    left_out = {row["reason"]: row["count"] for row in job.work().tables["left out"]}
    assert left_out == {
        "repeats of a track within a playlist (kept once)": 1,
        "playlists whose id was there in an earlier file": 1,
    }


def test_appended_slices_leave_ids_and_bytes_are_repeatable(tmp_path, make_job):
    write_slice(tmp_path / "mpd", 0, [mpd_playlist(1, [5, 6]), mpd_playlist(2, [6, 7])])
    job = make_job("playlists", tmp_path / "mpd")
    before = tables(job)
    digest = hash_file(job.paths.interactions)
    tables(job)
    assert hash_file(job.paths.interactions) == digest
    write_slice(tmp_path / "mpd", 1000, [mpd_playlist(3, [9, 5])])
    for old, new in zip(before, tables(job), strict=True):
        assert new.height > old.height and new.head(old.height).equals(old)


def test_nothing_usable_is_refused_with_the_reason(tmp_path, make_job):
    write_slice(tmp_path / "mpd", 0, [{"pid": 1, "tracks": []}])
    with pytest.raises(UserError, match="1 playlists without a usable track"):
        make_job("playlists", tmp_path / "mpd").work()
