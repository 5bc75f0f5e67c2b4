"""Captions have no holes, odd names come through, and metadata counts what is missing."""

from __future__ import annotations

import re

import polars as pl
import pytest
from data_files import mpd_playlist, mpd_track, write_slice
from hypothesis import given, settings
from hypothesis import strategies as st

from larp_core.config import CaptionConfig, SplitConfig
from larp_core.data.captions import caption_expression
from larp_core.errors import UserError

PAPER = "The track {track} by {artist} on album {album}"
SCHEMA = {"track_name": pl.String, "artist_name": pl.String, "album_name": pl.String}
NAMES = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def caption(template: str, *names: str | None) -> str | None:
    return pl.DataFrame([names], schema=SCHEMA, orient="row").select(caption_expression(template)).item()


@pytest.mark.parametrize(
    ("template", "names", "expected"),
    [
        (PAPER, ("X", "Y", "Z"), "The track X by Y on album Z"),
        (PAPER, ("X", "Y", None), "The track X by Y"),
        (PAPER, ("X", None, "Z"), "The track X on album Z"),
        (PAPER, (None, "Y", "Z"), "by Y on album Z"),
        (PAPER, (None, None, None), None),
        (PAPER, ("", " \n", None), None),
        ("{track} ({album}), by {artist}!", ("X", "Y", None), "X by Y!"),
        ("{track} ({album}), by {artist}!", ("X", None, "Z"), "X (Z),"),
        ("{{{track}}} is {artist}", ("X", "Y", None), "{X} is Y"),
        (
            PAPER,
            ("{artist} {0}", 'say "hi"\n twice', "مرحبا 🎸"),
            'The track {artist} {0} by say "hi" twice on album مرحبا 🎸',
        ),
    ],
)
def test_captions(template, names, expected):
    assert caption(template, *names) == expected


@given(names=st.tuples(NAMES, NAMES, NAMES))
@settings(max_examples=150, deadline=None)
def test_paper_captions_equal_the_naive_twin(names):
    folded = [re.sub(r"[\s\x00-\x1f\x7f]+", " ", name or "").strip() for name in names]
    pieces = [f"{lead} {name}" for lead, name in zip(("The track", "by", "on album"), folded, strict=True) if name]
    assert caption(PAPER, *names) == (" ".join(pieces) or None)


@pytest.mark.parametrize(
    "template", ["by {artits}", "{track!r}", "{track:>9}", "{}", "{track", "words only", "{track.x}"]
)
def test_bad_templates_are_refused(template):
    with pytest.raises(UserError, match=re.escape("caption.template")):
        caption_expression(template)


def test_files_of_metadata_and_captions(tmp_path, run_steps):
    nameless = {"track_name": None, "artist_name": None, "album_name": None}
    tracks = [mpd_track(n, n, **(nameless if n == 3 else {})) for n in range(40)]
    write_slice(tmp_path / "mpd", 0, [mpd_playlist(pid, [], tracks=tracks) for pid in range(12)])
    everywhere = SplitConfig(min_tracks=1, playlist_fractions=(0.4, 0.3, 0.3), track_fractions=(0.4, 0.3, 0.3))
    job = run_steps("captions", tmp_path / "mpd", split=everywhere, caption=CaptionConfig("{track} / {artist}"))
    metadata, captions = pl.read_parquet(job.paths.metadata), pl.read_parquet(job.paths.captions)
    assert metadata["track_id"].to_list() == pl.read_parquet(job.paths.split_tracks)["track_id"].to_list()
    assert set(metadata["source"]) == {"MPD slices", None}
    assert captions.height == metadata.height - 1
    assert job.work().facts["tracks_without_caption"] == 1
    assert captions.filter(track_id=0)["caption"].item() == "Song 0 / Artist 0"
