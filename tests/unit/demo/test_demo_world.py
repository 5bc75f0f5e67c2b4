"""The written world: real formats read back with plain readers, MP3s decoded, reruns that change and repeat nothing."""

from __future__ import annotations

import bz2
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from mutagen.mp3 import MP3

from larp_core.config import WorldConfig
from larp_core.config.environment import make_settings
from larp_core.demo.catalogue import make_catalogue
from larp_core.demo.formats import write_lfm2b, write_mpd
from larp_core.demo.mp3 import duration_ms, encode_loop
from larp_core.demo.playlists import make_listeners, make_playlists
from larp_core.demo.synth import MP3_SAMPLE_RATE_HZ, synthesise
from larp_core.demo.world import build_demo_world
from larp_core.graph.registry import job_named
from larp_core.runtime.files import hash_file, read_json

TINY = WorldConfig(num_tracks=24, num_artists=10, num_playlists=7, num_listeners=5)
MPD_KEYS = {
    *("name", "collaborative", "pid", "modified_at", "num_tracks", "num_albums", "num_followers", "num_edits"),
    *("duration_ms", "num_artists", "tracks"),
}
MPD_TRACK_KEYS = {
    *("pos", "artist_name", "track_uri", "artist_uri", "track_name", "album_uri", "duration_ms", "album_name"),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    build_demo_world(TINY, folder)
    return folder


def read_tsv(path: Path) -> list[dict[str, str]]:
    header, *lines = bz2.decompress(path.read_bytes()).decode().removesuffix("\n").split("\n")
    return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]


def read_slices(folder: Path) -> list[dict[str, Any]]:
    return [
        playlist for path in sorted(folder.glob("*.json")) for playlist in json.loads(path.read_text())["playlists"]
    ]


def test_every_track_has_a_decodable_mp3_of_its_length(world: Path) -> None:
    catalogue = make_catalogue(TINY)
    assert {p.name for p in (world / "audio").iterdir()} == {f"{t.uri}.mp3" for t in catalogue.tracks}
    for track in catalogue.tracks:
        info = MP3(world / "audio" / f"{track.uri}.mp3").info
        assert info.length == pytest.approx(duration_ms(track) / 1000, abs=0.1)
        assert info.length >= 50


def test_mp3_is_the_synthesised_wave_and_carries_tags(world: Path) -> None:
    track = make_catalogue(TINY).tracks[3]
    path = world / "audio" / f"{track.uri}.mp3"
    with av.open(str(path)) as container:
        decoded = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
        assert container.streams.audio[0].rate == MP3_SAMPLE_RATE_HZ
    assert decoded.size == round(duration_ms(track) * MP3_SAMPLE_RATE_HZ / 1000)
    expected = synthesise(track, decoded.size / MP3_SAMPLE_RATE_HZ, MP3_SAMPLE_RATE_HZ)
    middle = slice(2_000, -2_000)
    assert np.corrcoef(decoded[middle], expected[middle])[0, 1] > 0.98
    tags = MP3(path).tags
    assert (str(tags["TIT2"]), str(tags["TPE1"]), str(tags["TALB"])) == (
        track.name,
        track.artist.name,
        track.album.name,
    )


def test_repeated_frames_decode_like_a_file_encoded_through() -> None:
    """The fast path (one loop, its frames repeated) against encoding the whole wave."""
    noise = np.random.default_rng(0).standard_normal(1152 * 40).astype(np.float32) * 0.1
    repeated = b"".join(encode_loop(noise) * 3)
    through = b"".join(encode_loop(np.tile(noise, 3)))
    assert len(repeated) == len(through)

    def decode(data: bytes) -> np.ndarray:
        decoder = av.CodecContext.create("mp3float", "r")
        frames = [frame for packet in decoder.parse(data) for frame in decoder.decode(packet)]
        return np.concatenate([frame.to_ndarray()[0] for frame in frames])[1152:-1152]

    difference = decode(repeated) - decode(through)
    assert np.sqrt(np.mean(difference**2)) < 0.02 * 0.1


def test_a_loop_that_is_no_whole_number_of_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="1000 samples"):
        encode_loop(np.zeros(1000, dtype=np.float32))


def test_slices_have_the_real_schema(world: Path) -> None:
    playlists = read_slices(world / "mpd")
    names = {path.name for path in (world / "mpd").iterdir()}
    assert names == {"mpd.slice.0-2.json", "mpd.slice.3-5.json", "mpd.slice.6-6.json"}
    assert sorted(playlist["pid"] for playlist in playlists) == list(range(7))
    for playlist in playlists:
        assert set(playlist) - {"description"} == MPD_KEYS
        assert playlist["collaborative"] in ("true", "false")
        assert playlist["num_tracks"] == len(playlist["tracks"]) <= 250
        assert playlist["duration_ms"] == sum(track["duration_ms"] for track in playlist["tracks"])
        assert [track["pos"] for track in playlist["tracks"]] == list(range(len(playlist["tracks"])))
        for track in playlist["tracks"]:
            assert set(track) == MPD_TRACK_KEYS
            assert (world / "audio" / f"{track['track_uri'].removeprefix('spotify:track:')}.mp3").exists()


def test_slices_match_the_real_ones_key_by_key(sample_data: Path, world: Path) -> None:
    real = json.loads(next((sample_data / "mpd").glob("*.json")).read_text())
    ours = json.loads(next((world / "mpd").glob("*.json")).read_text())
    assert set(ours) == set(real) and set(ours["info"]) == set(real["info"])
    assert set(real["playlists"][0]) - {"description"} == MPD_KEYS
    for key, value in real["playlists"][0]["tracks"][0].items():
        assert type(ours["playlists"][0]["tracks"][0][key]) is type(value)


def test_tables_match_the_real_ones_header_by_header(sample_data: Path, world: Path) -> None:
    for path in (sample_data / "lfm2b").glob("*.bz2"):
        with bz2.open(path, "rt", encoding="utf-8") as real, bz2.open(world / "lfm2b" / path.name, "rt") as ours:
            assert ours.readline().split() == real.readline().split()


def test_traps_of_sample_data_are_there_and_rare(tmp_path: Path) -> None:
    config = WorldConfig(num_playlists=120, num_listeners=40)
    catalogue = make_catalogue(config)
    write_mpd(catalogue, make_playlists(config, catalogue), tmp_path / "mpd", config.seed)
    playlists = read_slices(tmp_path / "mpd")
    repeats = [len(p["tracks"]) - len({t["track_uri"] for t in p["tracks"]}) for p in playlists]
    assert 0 < sum(repeats) < 20 and max(repeats) == 1
    described = [p["description"] for p in playlists if "description" in p]
    assert 0 < len(described) < 40 and all("&amp;" in text for text in described)
    write_lfm2b(catalogue, make_listeners(config, catalogue), tmp_path / "lfm2b", config.seed)
    tables = {path.name.split(".")[0]: read_tsv(path) for path in (tmp_path / "lfm2b").iterdir()}
    uris = [row["uri"] for row in tables["spotify-uris"]]
    with_uri = {row["track_id"] for row in tables["spotify-uris"]}
    assert 0 < len(uris) - len(set(uris)) < 40
    assert 0 < sum(row["track_id"] not in with_uri for row in tables["tracks"]) < 80
    assert any('"' in row["track_name"] for row in tables["tracks"])
    assert any(not row["artist_name"].isascii() for row in tables["artists"])
    assert any(row["age"] == "-1" for row in tables["users"])


def test_tables_refer_to_each_other(world: Path) -> None:
    tables = {path.name.split(".")[0]: read_tsv(path) for path in (world / "lfm2b").iterdir()}
    assert len(tables) == 7
    known = {name: {row[name] for row in tables[table]} for name, table in
             (("user_id", "users"), ("track_id", "tracks"), ("album_id", "albums"))}  # fmt: skip
    for event in tables["listening-events"]:
        assert all(event[name] in ids for name, ids in known.items())
    counts = {(row["user_id"], row["track_id"]): int(row["count"]) for row in tables["listening-counts"]}
    assert sum(counts.values()) == len(tables["listening-events"])
    assert max(counts.values()) > 1, "some tracks are heard again"


def test_step_reports_and_runs_again_without_change(tmp_path: Path) -> None:
    settings = make_settings(data_dir=str(tmp_path), recipe="smoke")
    settings = replace(settings, recipe=replace(settings.recipe, world=TINY))
    job = job_named("demo_world", settings)
    folder = settings.shared.demo_world
    report = job.work()
    assert report.num_rows == 24
    assert Path(report.pictures["one spectrogram a genre"]).stat().st_size > 10_000
    assert report.facts["MP3s kept from an earlier run"] == 0
    before = hash_file(folder)

    victim, kept = sorted((folder / "audio").iterdir())[:2]
    victim.unlink()
    (folder / "audio" / ".half.1-abc.partial.mp3").write_bytes(b"half")
    (folder / "mpd" / "mpd.slice.900-999.json").write_text("{}")
    modified = kept.stat().st_mtime_ns
    assert job.work().facts["MP3s kept from an earlier run"] == 23
    assert hash_file(folder) == before
    assert kept.stat().st_mtime_ns == modified


def test_truth_tells_each_tracks_cell(world: Path) -> None:
    truth = read_json(world / "world.json")
    for track in make_catalogue(TINY).tracks:
        told = truth["tracks"][track.uri]
        assert (told["genre"], told["mood"]) == (truth["genres"][track.genre], truth["moods"][track.mood])
