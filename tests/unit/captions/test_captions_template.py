"""Captions have no holes, odd names come through, and metadata counts what is missing."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from data_files import mpd_playlist, mpd_track, write_slice
from hypothesis import given, settings
from hypothesis import strategies as st

from larp_core.captions.template import caption_expression
from larp_core.config import CaptionConfig, SplitConfig
from larp_core.config.recipes import recipe_named
from larp_core.config.settings import Settings
from larp_core.graph.registry import step_named
from larp_core.runtime.errors import UserError

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
        ("{track} ({album}), by {artist}!", ("X", "Y", None), "X, by Y!"),
        ("{track} ({album}), by {artist}!", ("X", None, "Z"), "X (Z)"),
        ("{track} ({album}), by {artist}!", (None, "Y", None), "by Y!"),
        ("{track}: {artist}; {album}", (None, ", Y,", "Z"), ", Y,; Z"),
        ("{{{track}}} is {artist}", ("X", "Y", None), "{X} is Y"),
        ("{track} - {artist} - {album}", (None, "Y", "Z"), "Y - Z"),
        ("{artist} – {track} | {album}", (None, None, "Z"), "Z"),
        ("- {track} / {artist}", ("X", None, None), "- X"),
        ("- {track} / {artist}", (None, "Y", None), "Y"),
        ("{artist}'s song {track}", (None, "Y", None), "Y's"),
        ("{artist}'s song {track}", ("X", None, None), "song X"),
        ("'{track}' by {artist}", (None, "Y", None), "by Y"),
        ("(live) {track} :) {artist}", ("X", None, None), "(live) X"),
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


@pytest.mark.parametrize("template", ["{track} ({artist} - {album})", "({track} now) {artist}", "“{track}, {album}”"])
def test_brackets_around_several_fields_are_refused(template):
    with pytest.raises(UserError, match="stand around more than one field, and a missing field would leave half"):
        caption_expression(template)


def test_an_unknown_field_is_told_those_that_there_are():
    with pytest.raises(UserError, match=r"unknown field 'danceability'.*\{album\}, \{tempo\}, .*\{brightness\}"):
        caption_expression("{track}, {danceability}")


RELEASED = "{track} is a song by the artist {artist} on the album {album}"


@pytest.mark.parametrize("name", ['"quoted"', "שיר אחד", "أغنية", "🎸🎹", "a‮b", "x" * 4_000, "{track}", "C:\\con|<>"])
def test_odd_names_stay_intact(name):
    assert caption(RELEASED, name, name, name) == f"{name} is a song by the artist {name} on the album {name}"
    assert caption(RELEASED, name, name, None) == f"{name} is a song by the artist {name}"


SOUND = "{track} by {artist}, in {key} {mode}, at {tempo}"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("F sharp", "minor", "118 BPM"), "X by Y, in F sharp minor, at 118 BPM"),
        ((None, None, None), "X by Y"),
        (("C", "major", None), "X by Y, in C major"),
    ],
)
def test_captions_tell_of_the_sound(fields, expected):
    values = ("X", "Y", *fields)
    row = pl.DataFrame([values], schema=["track_name", "artist_name", "key", "mode", "tempo"], orient="row")
    assert row.with_columns(pl.all().cast(pl.String)).select(caption_expression(SOUND)).item() == expected


def test_the_graph_waits_for_clips_only_where_a_caption_tells_of_sound():
    def upstream(template: str) -> list[str]:
        recipe = replace(recipe_named("smoke"), caption=CaptionConfig(template))
        settings = Settings(Path("data"), recipe, ("mpd",), mpd_dir=Path("mpd"))
        return step_named("captions").upstream(settings)

    assert upstream(PAPER) == upstream(RELEASED) == ["metadata"]
    assert upstream("{track}, {tempo} beats per minute") == ["metadata", "clips"]


def test_files_of_metadata_and_captions(tmp_path, run_steps):
    nameless = {"track_name": None, "artist_name": None, "album_name": None}
    tracks = [mpd_track(n, n, **(nameless if n == 3 else {})) for n in range(40)]
    write_slice(tmp_path / "mpd", 0, [mpd_playlist(pid, [], tracks=tracks) for pid in range(12)])
    everywhere = SplitConfig(min_tracks=1, playlist_fractions=(0.4, 0.3, 0.3), track_fractions=(0.4, 0.3, 0.3))
    job = run_steps("captions", tmp_path / "mpd", split=everywhere, caption=CaptionConfig("{track} / {artist}"))
    metadata, captions = pl.read_parquet(job.paths.metadata), pl.read_parquet(job.paths.captions)
    assert metadata["track_id"].to_list() == pl.read_parquet(job.paths.split_tracks)["track_id"].to_list()
    assert set(metadata["track_name_from"]) == {"MPD slices", None}
    assert captions.height == metadata.height - 1
    assert job.work().facts["tracks_without_caption"] == 1
    assert captions.filter(track_id=0)["caption"].item() == "Song 0 / Artist 0"
