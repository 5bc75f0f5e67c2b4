"""No false knobs: a field's value works, or is refused in one line, by name, when the recipe is made."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from knobs import KNOBS, STRANGE, changed, edges_of, section_of, values_of

from larp_core.config.section import fits, hints_of
from larp_core.runtime.errors import UserError

TWO_STAGES: dict[str, Any] = dict(depths=(1, 1), heads=(1, 2))


@pytest.mark.parametrize(("path", "name"), KNOBS)
@settings(max_examples=10, deadline=None)
@given(draws=st.data())
def test_every_field_takes_a_value_or_refuses_it_by_name(path: str, name: str, draws: st.DataObject) -> None:
    check(path, name, draws.draw(values_of(hints_of(type(section_of(path)))[name])))


@pytest.mark.parametrize(("path", "name"), KNOBS)
def test_so_it_does_at_the_ends_of_its_range_and_for_other_types(path: str, name: str) -> None:
    for value in (*STRANGE, *edges_of(hints_of(type(section_of(path)))[name])):
        check(path, name, value)


def check(path: str, name: str, value: Any) -> None:
    try:
        recipe = changed(path, **{name: value})
    except UserError as error:
        assert len(str(error).splitlines()) == 1 and len(str(error)) < 600
        assert str(error).startswith("recipe: ") and f"{path}.{name}".lstrip(".") in str(error)
    else:
        assert getattr(section_of(path, recipe), name) == value
        json.dumps(dataclasses.asdict(recipe), allow_nan=False)


@pytest.mark.parametrize(("path", "name"), KNOBS)
def test_defaults_which_are_not_checked_again_are_what_a_field_may_be(path: str, name: str) -> None:
    kind = type(section_of(path))
    if hasattr(kind, name):
        assert fits(getattr(kind, name), hints_of(kind)[name])


def test_a_whole_number_is_the_same_as_one_with_a_point() -> None:
    assert repr(changed("training", adam_betas=(0, 0.5)).training.adam_betas) == "(0.0, 0.5)"
    assert repr(changed("training", text_twins=1).training.text_twins) == "1.0"


def test_every_part_of_a_recipe_is_a_section() -> None:
    """A dataclass that is none would be checked for its type alone."""
    assert not any(dataclasses.is_dataclass(getattr(section_of(path), name)) for path, name in KNOBS)


@pytest.mark.parametrize(
    ("path", "values", "message"),
    [
        ("clip", dict(clip_seconds=5.0), "clip.clip_seconds is 5.0; the audio towers hear 10 s at 48 kHz, so it must"),
        ("clip", dict(sample_rate_hz=44_100), "clip.sample_rate_hz is 44100; .* so it must be 48000"),
        ("training", dict(batch_size=0), "training.batch_size is 0; it must be a whole number from 1 to 2,147,483,647"),
        ("training", dict(batch_size=True), "training.batch_size is True; it must be a whole number"),
        ("training", dict(learning_rate="1e-4"), "training.learning_rate is '1e-4'; it must be a number"),
        ("training", dict(targets="diagonal", pair_pruning=0.1), "pair_pruning is 0.1 and training.targets is 'diag"),
        ("training", dict(epochs=(("larp_wtc", 1),)), "training.epochs is .* each stage needs a number, .* larp_ttc, "),
        ("training", dict(epochs=(("larp", 1),)), "training.epochs is .*; unknown stage 'larp'; choose from larp_wtc"),
        ("training", dict(loss_weights=(("wtc", 0.0),)), "it leaves nothing of larp_wtc"),
        ("training", dict(loss_weights=(("wtc", 1.0), ("wtc", 2.0))), "'wtc' stands in it more than once"),
        ("training", dict(save_every_steps=0), "whole number from 1 to 2,147,483,647 or None"),
        ("split", dict(min_tracks=9, max_tracks=8), "split.min_tracks is 9 and split.max_tracks is 8; the first may"),
        ("split", dict(track_fractions=(0.5, 0.5, 0.5)), "split.track_fractions is .* must sum to 1"),
        ("split", dict(policy=(("mdp", "paper"),)), "unknown dataset 'mdp'; choose from mpd, lfm, own"),
        ("model", dict(learned_temperature=True, temperature=0.9), "a learned one starts within 0.001 and 0.5"),
        ("model.audio", dict(heads=(2, 5, 8)), "model.audio.heads is .*; stage 2 shares out 96 among 5"),
        ("model.audio", dict(window=5), "a grid of 4 x 4 patches, and a window may not be larger"),
        ("model.audio", dict(patch=12), "model.audio.patch is 12; HTS-AT's patches tile 256 rows"),
        ("model.audio", dict(patch=64, window=1) | TWO_STAGES, "a grid of 2 x 2 patches, and needs 4 x 4"),
        ("model.text", dict(heads=5), "model.text.width is 128 and model.text.heads is 5; the width is shared out"),
        ("co_playlist", dict(depths=(1,)), "co_playlist.widths is .* and co_playlist.depths is"),
        ("co_playlist", dict(widths=(8,) * 6, depths=(1,) * 6, frames_pooled=100), "a single number would be left"),
        ("world", dict(num_artists=200), "world.num_artists is 200 and world.num_tracks is 90"),
        ("world", dict(playlist_length=(9, 8)), "world.playlist_length is"),
        ("evaluation", dict(ks=(10, 10)), "evaluation.ks is .*; give at least one number, each larger"),
        ("caption", dict(template="{track"), "caption.template '{track': .*; write a literal brace twice"),
        ("ingest", dict(lfm_since="soon"), "ingest.lfm_since is 'soon'; it is not a date; write it 2020-01-31"),
        ("ingest", dict(lfm_since=""), "ingest.lfm_since is ''; it is not a date"),
    ],
)
def test_what_is_refused_is_said_with_its_reason(path: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"recipe: .*{message}"):
        changed(path, **values)
