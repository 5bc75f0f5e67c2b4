"""The user's own folder as a source of audio."""

from __future__ import annotations

from larp_core.audio.acquire.own_music import OwnMusic
from larp_core.audio.acquire.sources import Track
from larp_core.data.readers.own_folder import track_uri


def test_the_source_gives_the_file_itself(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "Song.mp3").write_bytes(b"x")
    source = OwnMusic(tmp_path)
    found = source.fetch(Track(0, track_uri("b/Song.mp3")), tmp_path)
    assert (found.status, found.path) == ("ok", tmp_path / "b" / "Song.mp3")
    lost = source.fetch(Track(0, track_uri("gone.mp3")), tmp_path)
    assert lost.status == "not_found" and "LARP_OWN_DIR" in lost.detail
    assert not source.costs_requests
