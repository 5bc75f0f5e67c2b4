"""Values that recipes take, in the code that uses them: it does its work, or says in one line what the data lack."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from knobs import SMOKE, changed, section_of, values_of
from training_world import TINY, make_inputs, only

from larp_core.audio.clips.offsets import starts_of_clips
from larp_core.captions.template import caption_expression
from larp_core.config.recipes import Recipe
from larp_core.config.section import hints_of
from larp_core.config.stages import STAGES
from larp_core.data.readers.lfm_events import read_plays
from larp_core.data.split.cold_start import draw_holdouts
from larp_core.data.split.policies import POLICIES, Tables, policy_named
from larp_core.demo.catalogue import make_catalogue
from larp_core.demo.formats import write_lfm2b, write_mpd
from larp_core.demo.playlists import make_listeners, make_playlists
from larp_core.evaluation.bootstrap import bootstrap_intervals
from larp_core.evaluation.metrics import evaluate_ranking
from larp_core.evaluation.recommenders.wmf import factorise
from larp_core.losses.contrast import Keys, contrast
from larp_core.model.co_playlist import build_co_playlist
from larp_core.model.pretrained import build_model
from larp_core.model.vocabulary import train_wordpiece
from larp_core.runtime.errors import UserError
from larp_core.runtime.pacing import backoff_seconds
from larp_core.training.schedule import cosine_with_warmup
from larp_core.training.stages import run_stage

MELS = torch.randn(2, 1, 1001, 64, generator=torch.Generator().manual_seed(0))
MOST_WIDTH = 24


def small(recipe: Recipe, most: int | None = None, **sections: tuple[str, ...]) -> st.SearchStrategy[Recipe]:
    """The recipe with one of the fields of `sections` (`model_audio` for `model.audio`) as it may be."""
    fields = [(path.replace("__", "."), name) for path, names in sections.items() for name in names]

    @st.composite
    def draw_recipe(draw: Any) -> Recipe:
        path, name = draw(st.sampled_from(fields))
        hint = hints_of(type(section_of(path, recipe)))[name]
        try:
            return changed(path, recipe, **{name: draw(values_of(hint, most))})
        except UserError:
            reject()

    return draw_recipe()


@contextlib.contextmanager
def one_line() -> Iterator[None]:
    """What the data lack may be said; nothing else goes wrong."""
    try:
        yield
    except UserError as error:
        assert len(str(error).splitlines()) == 1


CLIPS = small(SMOKE, clip=("margin_seconds", "offsets", "clips_per_track", "seed"))


@settings(max_examples=20, deadline=None)
@given(recipe=CLIPS, seconds=st.floats(0.1, 4_000))
def test_clips_begin_within_their_track(recipe: Recipe, seconds: float) -> None:
    starts = starts_of_clips("track", seconds, recipe.clip)
    assert not isinstance(starts, list) or all(0 <= start <= seconds - 10 for start in starts)


def tables() -> Tables:
    """24 playlists of 12 of 60 tracks."""
    rng = np.random.default_rng(0)
    members = np.concatenate([np.sort(rng.choice(60, 12, replace=False)) for _ in range(24)])
    ids = {"playlist_id": np.repeat(np.arange(24), 12), "track_id": members, "position": np.tile(np.arange(12), 24)}
    named = {name: [f"{name} {n % 9}" for n in range(60)] for name in ("artist_uri", "artist_name", "album_uri")}
    return Tables(
        playlists=pl.DataFrame({"playlist_id": range(24), "source_id": [f"p{n}" for n in range(24)]}).cast(
            {"playlist_id": pl.Int32}
        ),
        tracks=pl.DataFrame(
            {"track_id": range(60), "track_uri": [f"t{n}" for n in range(60)], "album_name": named["album_uri"]} | named
        ).cast({"track_id": pl.Int32}),
        interactions=pl.DataFrame(ids).cast(pl.Int32),
        lists=pl.DataFrame({"track_uri": ["t1", "t2", "t3", "t4"], "split": ["valid", "valid", "test", "test"]}),
    )


FRACTIONS = ("playlist_fractions", "track_fractions")
SPLITS = small(SMOKE, split=("seed", "min_tracks", "max_tracks", "seed_fraction", "twins", *FRACTIONS))


@settings(max_examples=20, deadline=None)
@given(recipe=SPLITS | small(SMOKE, 13, split=("min_tracks", "max_tracks")), policy=st.sampled_from(list(POLICIES)))
def test_every_policy_splits(recipe: Recipe, policy: str) -> None:
    found = tables()
    for dataset in ("mpd", "lfm"):
        kept = policy_named(policy, dataset).keep(found, recipe.split)
        draw_holdouts(kept, found.playlists, found.tracks, recipe.split)


PIECES = (
    st.sampled_from(["{track}", "{artist}", "{key}", " by ", "(", ")", "]", "{", "{{", "{x}", "\n", "'s"]) | st.text()
)


@settings(max_examples=20, deadline=None)
@given(template=st.lists(PIECES, max_size=5).map("".join) | st.just("{track}, {key}"))
def test_templates_caption(template: str) -> None:
    names = ("track_name", "artist_name", "album_name", "tempo", "key", "mode", "loudness", "brightness")
    frame = pl.DataFrame({name: ["a", None, ""] for name in names})
    with one_line():
        caption = changed("caption", template=template).caption
        assert frame.select(caption_expression(caption.template)).height == 3
        assert caption.needs_clips == ("{key}" in template)


@settings(max_examples=20, deadline=None)
@given(recipe=small(SMOKE, ingest=("lfm_user_fraction", "seed")), day=st.dates().map(str))
def test_events_are_read_from_any_day_on(recipe: Recipe, day: str, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("lfm") / "listening-events.tsv"
    path.write_text("user_id\ttrack_id\talbum_id\ttimestamp\n1\t2\t3\t2020-01-01 00:00:00\n")
    with one_line():
        read_plays(path, dataclasses.replace(recipe.ingest, lfm_since=day))


SIZES = ("num_tracks", "num_artists", "num_playlists", "num_listeners", "playlist_length", "max_themes")
WORLDS = small(SMOKE, 40, world=SIZES) | small(
    SMOKE, world=("seed", "track_seconds", "outlier_fraction", "caption_noise", "max_themes", "playlist_length")
)


@settings(max_examples=8, deadline=None)
@given(recipe=WORLDS)
def test_worlds_are_written(recipe: Recipe, tmp_path_factory: Any) -> None:
    folder: Path = tmp_path_factory.mktemp("world")
    small_world = dataclasses.replace(recipe.world, num_playlists=min(recipe.world.num_playlists, 6), num_listeners=5)
    catalogue = make_catalogue(small_world)
    write_mpd(catalogue, make_playlists(small_world, catalogue), folder, small_world.seed)
    write_lfm2b(catalogue, make_listeners(small_world, catalogue), folder, small_world.seed)


TOWERS = changed(
    "model.audio", changed("model", projection=8, queue_size=8), depths=(1, 1), heads=(1, 2), width=8, window=2
)
TOWERS = changed("model.text", TOWERS, width=12, layers=1, heads=2)
AUDIO = ("architecture", "window", "depths", "heads", "width", "dropout", "train_mel_norm")
TEXT = ("width", "layers", "heads", "max_tokens", "dropout", "lexical")
MODEL = ("projection", "norm", "temperature", "learned_temperature", "momentum")


@settings(max_examples=6, deadline=None)
@given(recipe=small(TOWERS, MOST_WIDTH, model__audio=AUDIO, model__text=TEXT, model=MODEL))
def test_towers_are_built_and_learn(recipe: Recipe) -> None:
    if sum(recipe.model.audio.depths) > 8 or recipe.model.text.layers > 8:
        reject()
    check_towers(recipe)


@pytest.mark.parametrize("architecture", ["htsat", "ast"])
@pytest.mark.parametrize(("patch", "stages"), [(16, 3), (16, 4), (32, 2), (64, 1)])
def test_a_grid_of_patches_is_refused_or_works(architecture: str, patch: int, stages: int) -> None:
    wanted = dict(depths=(2,) * stages, heads=(1,) * stages, window=3, width=4, patch=patch)
    try:
        recipe = changed("model.audio", TOWERS, architecture=architecture, **wanted)
    except UserError:
        return
    check_towers(recipe)


def check_towers(recipe: Recipe) -> None:
    """One step of both towers, and inference."""
    model = build_model(recipe.model, 30, seed=0).train()
    tokens = torch.ones(2, recipe.model.text.max_tokens, dtype=torch.long)
    given = dict(input_features=MELS, input_ids=tokens, attention_mask=tokens)
    model(**given).track_embeds.sum().backward()
    with torch.no_grad():
        found = model.eval()(**given).track_embeds
    assert found.shape == (2, recipe.model.projection) and found.isfinite().all()


@settings(max_examples=8, deadline=None)
@given(
    recipe=small(
        changed("co_playlist", stem=4, widths=(8, 8), depths=(1, 1), head_width=4),
        MOST_WIDTH,
        co_playlist=("stem", "widths", "depths", "head_width"),
    ),
    frames_pooled=st.sampled_from([1, 8, 500, 1001]),
)
def test_resnets_are_built_and_learn_from_a_single_clip(recipe: Recipe, frames_pooled: int) -> None:
    with contextlib.suppress(UserError):
        recipe = changed("co_playlist", recipe, frames_pooled=frames_pooled)
    if sum(recipe.co_playlist.depths) > 12:
        reject()
    model = build_co_playlist(recipe.co_playlist, seed=0).train()
    model.contrasted(model(MELS[:1])).sum().backward()


@settings(max_examples=20, deadline=None)
@given(recipe=small(SMOKE, training=("learning_rate", "adam_betas", "weight_decay", "warmup_steps", "fused_adam")))
def test_steps_are_taken_at_any_rate(recipe: Recipe) -> None:
    config, weight = recipe.training, torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam(
        [weight],
        lr=config.learning_rate,
        betas=config.adam_betas,
        weight_decay=config.weight_decay,
        fused=config.fused_adam or None,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, cosine_with_warmup(config.warmup_steps, 3))
    for _ in range(3):
        weight.grad = torch.ones(2)
        optimizer.step()
        schedule.step()


def test_a_stage_of_no_epochs_hands_its_weights_on() -> None:
    recipe = changed("training", TINY, epochs=only())
    _, result = run_stage(STAGES["larp_wtc"], make_inputs(), recipe, None)
    assert (result.best_epoch, len(result.curve)) == (0, 1)


LOSSES = small(SMOKE, training=("label_smoothing", "soft_label_weight"), model=("temperature",))


@settings(max_examples=20, deadline=None)
@given(recipe=LOSSES)
def test_contrasts_are_finite(recipe: Recipe) -> None:
    vectors = torch.nn.functional.normalize(torch.randn(6, 4, generator=torch.Generator().manual_seed(1)), dim=1)
    part = torch.ones(3, 6, dtype=torch.bool)
    keys = Keys(vectors, torch.eye(3, 6, dtype=torch.bool), part)
    soft = recipe.training.soft_label_weight * torch.full((3, 6), 1 / 6)
    assert contrast(vectors[:3], keys, recipe.model.temperature, soft, recipe.training.label_smoothing).isfinite()


@settings(max_examples=15, deadline=None)
@given(recipe=small(SMOKE, model__text=("vocab_size",)) | small(SMOKE, 600, model__text=("vocab_size", "max_tokens")))
def test_captions_are_tokenized(recipe: Recipe) -> None:
    text = recipe.model.text
    tokenizer = train_wordpiece(["the track a by b"] * 3, text.vocab_size)
    tokens = tokenizer(["the track", ""], padding="max_length", truncation=True, max_length=text.max_tokens)
    assert {len(row) for row in tokens["input_ids"]} == {text.max_tokens}


WMF = ("width", "epochs", "batch_size", "num_negatives")
WMF_NUMBERS = ("solver", "observed_weight", "l2", "momentum", "batch_size", "seed")


@settings(max_examples=15, deadline=None)
@given(recipe=small(SMOKE, 12, recommenders__wmf=WMF) | small(SMOKE, recommenders__wmf=WMF_NUMBERS))
def test_playlists_are_factorised(recipe: Recipe) -> None:
    rng = np.random.default_rng(0)
    playlists, tracks = np.repeat(np.arange(8), 3), np.concatenate([rng.permutation(9)[:3] for _ in range(8)])
    with np.errstate(all="ignore"):
        found = factorise(playlists, tracks, recipe.recommenders.wmf)
    assert found.tracks.shape[1] == recipe.recommenders.wmf.width


@settings(max_examples=15, deadline=None)
@given(
    recipe=small(SMOKE, 60, evaluation=("ks", "bootstrap_samples")) | small(SMOKE, evaluation=("confidence", "seed"))
)
def test_lists_are_scored(recipe: Recipe) -> None:
    config = recipe.evaluation
    ranked = np.full((3, max(config.ks)), -1, np.int32)
    values = evaluate_ranking(ranked, [np.array([1], np.int32)] * 3, config.ks)["recall"]
    found = bootstrap_intervals(
        values, samples=config.bootstrap_samples, confidence=config.confidence, seed=config.seed
    )
    assert len(found) == len(config.ks)


@settings(max_examples=15, deadline=None)
@given(recipe=small(SMOKE, acquire=("backoff_seconds", "max_backoff_seconds")), attempts=st.integers(0, 10**6))
def test_waits_are_finite(recipe: Recipe, attempts: int) -> None:
    config = recipe.acquire
    seconds = backoff_seconds("track", attempts, config.backoff_seconds, config.max_backoff_seconds)
    assert 0 <= seconds <= 1.5 * config.max_backoff_seconds
