"""Fixtures of the tests of evaluation and reports: the tiny dataset of `benchmark_world`, scored or trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from benchmark_world import write_embeddings, write_missing, write_names, write_split, write_training

from larp_core.config.encoders import CATALOGUE, ENCODERS
from larp_core.config.environment import make_settings
from larp_core.config.paths import DatasetPaths
from larp_core.config.settings import Settings
from larp_core.config.stages import STAGES
from larp_core.graph.registry import job_named


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(data_dir=str(tmp_path), recipe="smoke")


@pytest.fixture
def paths(settings: Settings) -> DatasetPaths:
    """The dataset `mpd` with split, names and collaborative vectors."""
    paths = settings.paths("mpd")
    write_split(paths)
    write_names(paths)
    job_named("wmf", settings, "mpd").work()
    return paths


@pytest.fixture(scope="session")
def scored_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the scores of every encoder on both datasets, foreign ones missing; `bert` is pretrained,
    `htsat` is not."""
    settings = make_settings(data_dir=str(tmp_path_factory.mktemp("scored")), recipe="smoke")
    for number, dataset in enumerate(settings.datasets):
        paths = settings.paths(dataset)
        write_split(paths, seed=number)
        write_names(paths)
        job_named("wmf", settings, dataset).work()
        for encoder in ENCODERS:
            signal = {"htsat": 0.0, "mel_statistics": 50.0}.get(encoder, 3.0 if encoder == "larp_ttc" else 0.5)
            if CATALOGUE[encoder].weights:
                write_missing(paths, encoder)
            else:
                write_embeddings(paths, encoder, signal, pretrained=encoder == "bert", seed=number)
            job_named(f"scores/{encoder}", settings, dataset).work()
        for name in ("metadata", "hybrid"):
            job_named(f"scores/{name}", settings, dataset).work()
    return settings.data_dir


@pytest.fixture
def scored(settings: Settings, scored_once: Path) -> Settings:
    """A copy of `scored_once`."""
    shutil.copytree(scored_once, settings.data_dir, dirs_exist_ok=True)
    return settings


@pytest.fixture
def trained(settings: Settings) -> Settings:
    """Both datasets with the curves of every stage."""
    for dataset in settings.datasets:
        for number, encoder in enumerate(STAGES):
            best = 0 if encoder == "larp_tpc" else 3
            recall = [0.05 + 0.005 * number - 0.002 * (epoch - best) ** 2 for epoch in range(6)]
            write_training(settings.paths(dataset), encoder, recall, best)
    return settings
