"""One catalogue: what is listed in it is everywhere, and only that."""

from __future__ import annotations

import importlib
from pathlib import Path

from larp_core.config.encoders import CATALOGUE, ENCODERS, UNTRAINED
from larp_core.config.environment import make_settings
from larp_core.config.recipes import RECIPES
from larp_core.config.settings import VARIABLES, Settings
from larp_core.config.stages import STAGES
from larp_core.encoders.embed import describe
from larp_core.evaluation.names import BACKBONES, DISPLAY_NAMES
from larp_core.graph.registry import STEPS, jobs_of


def test_every_encoder_has_its_steps_title_and_facts() -> None:
    assert set(ENCODERS) == {*STAGES, *UNTRAINED} == set(DISPLAY_NAMES)
    assert len({encoder.title for encoder in CATALOGUE.values()}) == len(ENCODERS)
    for name, encoder in CATALOGUE.items():
        assert {f"embeddings/{name}", f"scores/{name}"} <= set(STEPS)
        assert (name in STEPS) == (encoder.stage is not None)
        assert STEPS[f"embeddings/{name}"].torch == encoder.torch
        assert encoder.hears or encoder.reads
        assert (encoder.sample_rate_hz is not None) == encoder.hears
        assert all(describe(encoder)[fact] for fact in ("encoder", "encoder_version", "licence", "source"))
        module, function = encoder.extractor.split(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_trained_ones_have_epochs_in_every_recipe_and_parents_that_are_trained() -> None:
    for name, stage in STAGES.items():
        assert stage.parent in (None, *STAGES)
        for recipe in RECIPES.values():
            assert recipe.training.epochs_of(name) > 0
    assert set(BACKBONES) <= set(UNTRAINED)


def test_settings_that_bring_weights_are_settings_and_the_table_names_them() -> None:
    for encoder in CATALOGUE.values():
        for setting in filter(None, (encoder.weights, encoder.command)):
            assert setting in Settings.__dataclass_fields__ and setting in VARIABLES.values()
    assert CATALOGUE["mule"].missing == "weights not found: set LARP_MULE or LARP_MULE_COMMAND"


def test_no_step_reads_what_nobody_named(tmp_path: Path) -> None:
    """An unset weights folder is not the folder that the command is given in, which changes with every file."""
    settings = make_settings(data_dir=str(tmp_path), datasets="mpd,lfm", recipe="demo")
    assert [path for job in jobs_of(settings) for path in job.step.external(job) if path.is_dir()] == []
