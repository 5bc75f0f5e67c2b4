"""The listening page, read back as a browser would: links, hits, names that bite, tracks without sound."""

import dataclasses
import os
import re
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import polars as pl
import pytest
import soundfile
from benchmark_world import NUM_TRACKS, write_embeddings
from listening_reader import Item, Page, Section

from assets.presentation import metadata_of
from larp_core.audio.acquire.ledger import SCHEMA as LEDGER
from larp_core.audio.clips.factory import SCHEMA as CLIPS
from larp_core.config.paths import DatasetPaths
from larp_core.config.settings import Settings
from larp_core.graph import memo
from larp_core.graph.job import Job
from larp_core.graph.registry import job_named
from larp_core.runtime.files import hash_file, write_parquet
from larp_core.runtime.report import Report

BITING = (
    '<script>alert("x")</script>',
    'Rock & Roll\'s "best" </li></audio>',
    "&amp; &lt;b&gt; {braces} %41",
    "مرحبا بالعالم",
    "🎧 ünïcode\u202e gnorw",
    "line\nbreak\ttab",
)
TITLES = {track_id: f"{BITING[track_id % 6]} {track_id}" for track_id in range(sum(NUM_TRACKS.values()))}
WITHOUT_TITLE = range(90, 96)
SILENT, TOO_SHORT, NOT_FOUND = 3, 4, 5
"""Remainders by 8 of the tracks that have a silent clip, an audio file too short for one, and no audio."""


def uri_of(track_id: int) -> str:
    """As in LFM-2b, with signs that mean something in a link."""
    return f"lfm:{track_id}#50% ?"


@pytest.fixture
def job(settings: Settings, paths: DatasetPaths) -> Job:
    """The step with all that it reads, clips as FLAC files included."""
    write_embeddings(paths, "larp_tpc", 1.0, pretrained=False)
    track_ids = list(TITLES)
    named = pl.read_parquet(paths.metadata).with_columns(
        track_uri=pl.Series([uri_of(t) for t in track_ids]),
        track_name=pl.Series([None if t in WITHOUT_TITLE else TITLES[t] for t in track_ids]),
    )
    write_parquet(named, paths.metadata)
    names = [None if i % 3 == 0 else BITING[i % 6] for i in range(35)]
    playlists = {"playlist_id": range(35), "source_id": [f"list<{i}>" for i in range(35)], "name": names}
    write_parquet(pl.DataFrame(playlists, schema_overrides={"playlist_id": pl.Int32}), paths.playlists)
    write_sound(paths, track_ids)
    job_named("scores/larp_tpc", settings, "mpd").work()
    return job_named("listening_page", settings, "mpd")


def write_sound(paths: DatasetPaths, track_ids: list[int]) -> None:
    ledger, clips = [], []
    for track_id in track_ids:
        is_there = track_id % 8 != NOT_FOUND
        reason = "" if is_there else f"no file <{track_id}> & no mapping"
        ledger.append({"track_id": track_id, "track_uri": uri_of(track_id), "detail": reason, "source": "folder"})
        ledger[-1]["status"] = "ok" if is_there else "not_found"
        if is_there and track_id % 8 == TOO_SHORT:
            clips.append({"track_id": track_id, "status": "too_short", "detail": "lasts 7.0 s"})
        elif is_there:
            path = paths.clips_dir / f"{track_id % 4}" / f"{uri_of(track_id)}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.full(48, track_id / 1000), 48_000, subtype="PCM_16")
            detail = "silent" if track_id % 8 == SILENT else ""
            clips.append({"track_id": track_id, "status": "ok", "detail": detail})
            clips[-1]["path"] = str(path.relative_to(paths.root))
            # Of several clips the page plays the first.
            clips.append(clips[-1] | {"clip_index": 1, "path": "clips/another.flac"})
    write_parquet(pl.DataFrame(ledger, schema=LEDGER), paths.ledger)
    write_parquet(pl.DataFrame(clips, schema=CLIPS), paths.clips)


def build(job: Job) -> tuple[Report, Page]:
    report = job.work()
    return report, Page(job.outputs[0].read_text(encoding="utf-8"))


def playlist_of(section: Section) -> int:
    match = re.search(r"number list<(\d+)>", section.text)
    assert match
    return int(match[1])


def track_of(item: Item) -> int:
    """The number at the end of the title, or the one in the uri that stands for it."""
    match = re.fullmatch(r"lfm:(\d+)#50% \?|.* (\d+)", item.title, flags=re.DOTALL)
    assert match
    return int(match[1] or match[2])


def slow_answer(paths: DatasetPaths, playlist_id: int) -> tuple[list[int], set[int]]:
    """The ten test tracks nearest to the mean of the seeds, one cosine at a time; and the playlist's targets."""
    rows = pl.read_parquet(paths.embeddings("larp_tpc")).select("track_id", "vector").drop_nulls().iter_rows()
    vectors = {track_id: np.array(vector, np.float64) for track_id, vector in rows}
    held_out = pl.read_parquet(paths.holdouts).filter(playlist_id=playlist_id)
    seeds = held_out.filter(role="seed")["track_id"].to_list()
    mean = np.mean([vectors[t] for t in seeds if t in vectors], axis=0)
    cosines = {}
    for track_id in pl.read_parquet(paths.split_tracks).filter(split="test")["track_id"]:
        if track_id in vectors and track_id not in seeds:
            vector = vectors[track_id]
            cosines[track_id] = float(vector @ mean / np.linalg.norm(vector) / np.linalg.norm(mean))
    best = sorted(cosines, key=lambda track_id: -cosines[track_id])[:10]
    return best, set(held_out.filter(role="target")["track_id"])


def test_continuations_and_hits_equal_the_slow_twin(job: Job) -> None:
    report, page = build(job)
    num_hits = 0
    for section in page.sections:
        expected, targets = slow_answer(job.paths, playlist_of(section))
        assert [track_of(item) for item in section.lists["ol"]] == expected
        assert [item.is_hit for item in section.lists["ol"]] == [track_id in targets for track_id in expected]
        assert all(("✓ hit" in item.text) == item.is_hit for item in section.lists["ol"])
        assert not any(item.is_hit for item in section.lists["ul"])
        num_hits += len(targets.intersection(expected))
    assert report.facts["num_hits"] == num_hits > 0
    assert report.num_rows == len(page.sections) == 6


def test_recall_is_that_of_the_score_file(job: Job) -> None:
    report, page = build(job)
    scores = pl.read_parquet(job.paths.scores("larp_tpc_playlists")).filter(
        recommender="ItemKNN", metric="recall", k=10
    )
    values = dict(scores.select("playlist_id", "value").iter_rows())
    for section, row in zip(page.sections, report.tables["Playlists on the page"], strict=True):
        assert row["R@10"] == pytest.approx(values[playlist_of(section)], abs=1e-12)
        assert f"Recall@10 {row['R@10']:.3f}" in section.text
        assert f"{row['hits']} of 10 are hits" in section.text
    assert f"24 test playlists Recall@10 is {np.mean(list(values.values())):.3f}" in page.intro.replace("\n", " ")


def test_playlists_are_drawn_without_regard_to_the_embeddings(job: Job, paths: DatasetPaths) -> None:
    _, before = build(job)
    write_embeddings(paths, "larp_tpc", 0.0, pretrained=False, seed=5)
    _, after = build(job)
    assert [playlist_of(section) for section in before.sections] == [playlist_of(section) for section in after.sections]
    test = pl.read_parquet(paths.split_playlists).filter(split="test")["playlist_id"]
    assert {playlist_of(section) for section in before.sections} < set(test)
    assert [item.is_hit for item in before.sections[0].lists["ol"]] != [
        item.is_hit for item in after.sections[0].lists["ol"]
    ]
    evaluation = dataclasses.replace(job.recipe.evaluation, seed=1)
    recipe = dataclasses.replace(job.recipe, evaluation=evaluation)
    _, other = build(dataclasses.replace(job, settings=dataclasses.replace(job.settings, recipe=recipe)))
    assert {playlist_of(section) for section in other.sections} != {playlist_of(s) for s in before.sections}
    assert "not by how well they do" in before.intro


def test_links_are_relative_and_lead_to_the_tracks_own_clip(job: Job, tmp_path: Path) -> None:
    report, page = build(job)
    moved = tmp_path.parent / f"{tmp_path.name} moved"
    shutil.copytree(tmp_path, moved)
    folder = moved / job.outputs[0].relative_to(tmp_path).parent
    items = [item for section in page.sections for items in section.lists.values() for item in items]
    for item in items:
        for link in item.players:
            parts = urlsplit(link)
            assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
            samples, _ = soundfile.read(folder / unquote(parts.path))
            assert samples[0] == pytest.approx(track_of(item) / 1000, abs=1e-4)
    assert [link for item in items for link in item.players] == page.links
    assert report.facts["num_players"] == len(page.links) > 0
    assert str(tmp_path) not in job.outputs[0].read_text(encoding="utf-8")


def test_a_track_without_audio_says_why(job: Job) -> None:
    report, page = build(job)
    items = [item for section in page.sections for items in section.lists.values() for item in items]
    reasons = {NOT_FOUND: "not_found: no file <{}> & no mapping", TOO_SHORT: "too_short: lasts 7.0 s"}
    for item in items:
        track_id = track_of(item)
        reason = reasons.get(track_id % 8)
        assert len(item.players) == (reason is None)
        assert ("no audio" in item.text) == (reason is not None)
        assert reason is None or f"no audio: {reason.format(track_id)}" in item.text
        assert item.text.endswith("silent") == (track_id % 8 == SILENT)
    assert {track_of(item) % 8 for item in items} == set(range(8))
    assert report.facts["num_tracks_without_audio"] == sum(not item.players for item in items)


def test_names_come_out_as_they_went_in(job: Job) -> None:
    _, page = build(job)
    items = [item for section in page.sections for items in section.lists.values() for item in items]
    for item in items:
        track_id = track_of(item)
        title = uri_of(track_id) if track_id in WITHOUT_TITLE else TITLES[track_id]
        assert item.title == title
        assert f"Artist {track_id % 10}" in item.text
        assert item.labels in ([], [f"{title}, Artist {track_id % 10}"])
    assert {track_of(item) % 6 for item in items if track_of(item) not in WITHOUT_TITLE} == set(range(6))
    assert any(track_of(item) in WITHOUT_TITLE for item in items)
    assert job.outputs[0].read_text(encoding="utf-8").count("<script>") == 1


def test_playlists_without_a_name(job: Job) -> None:
    _, page = build(job)
    seen = set()
    for number, section in enumerate(page.sections, 1):
        playlist_id = playlist_of(section)
        name = "without a name" if playlist_id % 3 == 0 else BITING[playlist_id % 6]
        assert section.heading == f"{number}. Playlist {name}"
        seen.add(playlist_id % 3 == 0)
    assert seen == {True, False}


def test_seeds_are_the_playlists_and_at_most_eight(job: Job, paths: DatasetPaths) -> None:
    def seeds_of(playlist_id: int) -> set[int]:
        return set(pl.read_parquet(paths.holdouts).filter(playlist_id=playlist_id, role="seed")["track_id"])

    _, page = build(job)
    for section in page.sections:
        assert {track_of(item) for item in section.lists["ul"]} == seeds_of(playlist_of(section))
        assert "Seeds (all of them)" in section.text
    held_out = pl.read_parquet(paths.holdouts)
    first = pl.col("track_id") == pl.col("track_id").min().over("playlist_id")
    role = pl.when(first).then(pl.lit("target")).otherwise(pl.lit("seed")).alias("role")
    write_parquet(held_out.with_columns(role), paths.holdouts)
    _, page = build(job)
    for section in page.sections:
        shown = [track_of(item) for item in section.lists["ul"]]
        assert len(set(shown)) == len(shown) == 8
        assert set(shown) < seeds_of(playlist_of(section))
        assert "Seeds (8 of them, drawn by hash)" in section.text and "9 seeds, 1\ntargets" in section.text


def test_an_order_that_means_nothing_says_so(job: Job, paths: DatasetPaths) -> None:
    _, page = build(job)
    assert not any("means nothing" in section.text for section in page.sections)
    seeds = pl.read_parquet(paths.holdouts).filter(playlist_id=playlist_of(page.sections[0]), role="seed")
    frame = pl.read_parquet(paths.embeddings("larp_tpc")).join(seeds, on="track_id", how="anti")
    write_parquet(frame, paths.embeddings("larp_tpc"))
    _, page = build(job)
    assert "means nothing" in page.sections[0].text


def test_a_tiny_test_split_is_shown_whole(job: Job, paths: DatasetPaths) -> None:
    """Two playlists, and fewer candidates than a list of ten."""
    _, page = build(job)
    kept = [playlist_of(section) for section in page.sections[:1]]
    held_out = pl.read_parquet(paths.holdouts).filter(pl.col("playlist_id").is_in(kept))
    write_parquet(held_out, paths.holdouts)
    tracks = pl.read_parquet(paths.split_tracks)
    write_parquet(tracks.join(held_out, on="track_id", how="semi"), paths.split_tracks)
    report, page = build(job)
    assert report.num_rows == len(page.sections) == 1
    assert all(item.is_hit for item in page.sections[0].lists["ol"])
    assert "5 of 5 are hits · Recall@10 1.000" in page.sections[0].text


def test_the_page_needs_nothing_from_elsewhere_and_repeats(job: Job) -> None:
    _, page = build(job)
    text = job.outputs[0].read_text(encoding="utf-8")
    assert not re.search(r"https?:|<link|@import|url\(|<img|<iframe", text)
    assert "prefers-color-scheme: dark" in text and '<meta charset="utf-8">' in text
    assert "Demo world in the Million Playlist Dataset's format (mpd)" in page.intro
    assert f"Recipe {job.recipe.name}: " in page.intro and "LARP-TPC" in page.intro
    first = hash_file(job.outputs[0])
    os.utime(job.outputs[0], ns=(0, 0))
    job.work()
    assert job.outputs[0].stat().st_mtime_ns > 0 and hash_file(job.outputs[0]) == first


def test_a_second_run_is_reused_until_what_it_reads_changes(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = {"/".join(parent.key): "same" for parent in job.upstream()}
    assert set(digests) == {
        f"mpd/{name}" for name in ("playlists", "cold_start_split", "metadata", "mp3", "clips", "embeddings/larp_tpc")
    }
    monkeypatch.setattr(memo, "upstream_digests", lambda _: digests)
    assert not memo.run(job).reused
    again = memo.run(job)
    assert again.reused
    shown = metadata_of(again)
    assert shown["page"].value == str(job.outputs[0]) and job.outputs[0].name == "listen_mpd.html"
    assert "browser" in str(shown["how to listen"].value)
    for name in digests:
        monkeypatch.setattr(memo, "upstream_digests", lambda _, name=name: digests | {name: "other"})
        assert memo.finished(job) is None
