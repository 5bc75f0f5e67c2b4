"""Where things are and which recipe is run: the user's choices, from the environment or the command line, checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from larp_core.errors import UserError
from larp_core.files import make_folder
from larp_core.paths import DatasetPaths, SharedPaths
from larp_core.recipes import Recipe, recipe_named

DATASETS = ("mpd", "lfm")
VARIABLES = {
    "LARP_DATA": "data_dir",
    "LARP_RECIPE": "recipe",
    "LARP_DATASETS": "datasets",
    "LARP_MPD_DIR": "mpd_dir",
    "LARP_LFM_DIR": "lfm_dir",
    "LARP_AUDIO_DIR": "audio_dir",
    "LARP_PAPER_LISTS_DIR": "paper_lists_dir",
}
"""Environment variable: the argument of `make_settings` that it stands for."""
SOURCE_VARIABLES = {"mpd": "LARP_MPD_DIR", "lfm": "LARP_LFM_DIR"}


@dataclass(frozen=True)
class Settings:
    """One run's choices.

    Attributes:
        data_dir: everything that the pipeline writes.
        recipe: the complete, frozen configuration.
        datasets: which of `DATASETS` the graph is built for.
        mpd_dir, lfm_dir: folders of real files; with neither, the demo world is generated.
        audio_dir: a folder of audio named by track id, or with a mapping file; see `larp_core.audio.sources`.
        paper_lists_dir: the authors' published track lists, see `larp_core.data.paper_lists`.
    """

    data_dir: Path
    recipe: Recipe
    datasets: tuple[str, ...]
    mpd_dir: Path | None = None
    lfm_dir: Path | None = None
    audio_dir: Path | None = None
    paper_lists_dir: Path | None = None

    def __post_init__(self) -> None:
        for dataset in self.datasets:
            if dataset not in DATASETS:
                raise UserError(f"LARP_DATASETS: unknown dataset '{dataset}'; choose from {', '.join(DATASETS)}")
        if not self.datasets:
            raise UserError(f"LARP_DATASETS is empty; name at least one of {', '.join(DATASETS)}")
        missing = [d for d in self.datasets if self.source_dir(d) is None]
        if missing and not self.is_demo:
            raise UserError(
                f"LARP_DATASETS names {missing[0]}, but {SOURCE_VARIABLES[missing[0]]} is not set while other data is; "
                f"set it, or leave {missing[0]} out of LARP_DATASETS"
            )

    @property
    def is_demo(self) -> bool:
        """True when no source folder is configured, so that the demo world stands in for all of them."""
        return self.mpd_dir is None and self.lfm_dir is None

    def source_dir(self, dataset: str) -> Path | None:
        return {"mpd": self.mpd_dir, "lfm": self.lfm_dir}[dataset]

    @property
    def shared(self) -> SharedPaths:
        return SharedPaths(self.data_dir)

    def paths(self, dataset: str) -> DatasetPaths:
        return DatasetPaths(self.data_dir, dataset)


def make_settings(
    *,
    data_dir: str = "data",
    recipe: str = "demo",
    datasets: str | None = None,
    mpd_dir: str | None = None,
    lfm_dir: str | None = None,
    audio_dir: str | None = None,
    paper_lists_dir: str | None = None,
) -> Settings:
    """Settings from plain strings, as the environment and the command line give them; empty strings count as absent.

    Raises:
        UserError: an unknown recipe or dataset, or a dataset named without its folder.
    """
    folders = {"mpd": _folder(mpd_dir), "lfm": _folder(lfm_dir)}
    configured = [name for name in DATASETS if folders[name]] or list(DATASETS)
    names = [name.strip() for name in datasets.split(",")] if datasets else configured
    return Settings(
        data_dir=Path(data_dir).expanduser().resolve(),
        recipe=recipe_named(recipe),
        datasets=tuple(name for name in dict.fromkeys(names) if name),
        mpd_dir=folders["mpd"],
        lfm_dir=folders["lfm"],
        audio_dir=_folder(audio_dir),
        paper_lists_dir=_folder(paper_lists_dir),
    )


def settings_from(environment: Mapping[str, str] = os.environ, **options: str) -> Settings:
    """Settings from `VARIABLES`; an option wins over its variable, and an empty variable counts as an absent one.

    What can be seen to be wrong at once is said before anything is run.

    Raises:
        UserError: see `make_settings`; also a folder that isn't there, or a data folder that can't be written.
    """
    given = {name: value for variable, name in VARIABLES.items() if (value := environment.get(variable))}
    settings = make_settings(**(given | options))
    make_folder(settings.data_dir)
    for variable in ("LARP_MPD_DIR", "LARP_LFM_DIR", "LARP_AUDIO_DIR", "LARP_PAPER_LISTS_DIR"):
        folder = getattr(settings, VARIABLES[variable])
        if folder is not None and not folder.is_dir():
            raise UserError(f"{variable}: {folder} is not a folder; correct it, or unset {variable}")
    return settings


def _folder(value: str | None) -> Path | None:
    return Path(value).expanduser().resolve() if value else None
