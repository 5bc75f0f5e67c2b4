"""Where things are and which recipe is run: the user's choices, checked. `environment` beside this reads them."""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Any, Literal

from larp_core.config.datasets import DATASETS, DEMO_DATASETS
from larp_core.config.paths import DatasetPaths, SharedPaths
from larp_core.config.recipes import Recipe
from larp_core.runtime.errors import UserError

VECTOR_SUFFIXES = (".parquet", ".npy")
AUDIO_SOURCES = {"folder": "LARP_AUDIO_DIR", "urls": "LARP_AUDIO_URLS", "youtube": None}
"""Where audio may come from: the variable that each one needs."""

Kind = Literal["place", "folder", "file", "text", "names", "recipe", "switch", "weights"]


@dataclass(frozen=True)
class Setting:
    """What a field of `Settings` is outside the program.

    Attributes:
        variable: the environment variable; the command line's option is the field's name.
        kind: how its word is read, and whether something must be there by that name: a `folder`, a `file`, `weights`
            (a folder, or vectors of `VECTOR_SUFFIXES`); a `place` is made where it isn't.
        may_be_hub_name: of weights.
    """

    variable: str
    kind: Kind = "text"
    may_be_hub_name: bool = False


def setting_of(field: Field[Any]) -> Setting:
    """What stands behind a field of `Settings`."""
    setting: Setting = field.metadata["setting"]
    return setting


def _by(variable: str, kind: Kind = "text", may_be_hub_name: bool = False) -> dict[str, Setting]:
    return {"setting": Setting(variable, kind, may_be_hub_name)}


Sources: Any = make_dataclass(
    "Sources",
    [
        (f"{name}_dir", Path | None, field(default=None, metadata=_by(spec.variable, "folder")))
        for name, spec in DATASETS.items()
    ],
    frozen=True,
    kw_only=True,
)
"""The folder of each dataset's raw files, or its zip: `mpd_dir` and so on. With none, the demo world is generated."""


@dataclass(frozen=True)
class Settings(Sources):
    """One run's choices.

    Attributes:
        data_dir: the folder for everything that the pipeline writes.
        recipe: the complete configuration of a run, by its name.
        datasets: the datasets that the graph is built for, with commas; by default those that have a folder.
        audio_dir: a folder of audio named by track id, or with a mapping file; see `larp_core.audio.acquire.sources`.
        audio_urls: a CSV of direct links, see `larp_core.audio.acquire.downloads`.
        audio_sources: where audio may come from: `folder`, `urls`, `youtube`, with commas, in the order in which they
            are tried; by default those that have a folder or a file. Nothing else is asked.
        audio_retry: `final` asks once more for what was not found or removed.
        cookies_file: cookies of a browser, in the format of Netscape; it is read and never written.
        paper_lists_dir: a folder with the authors' published track lists, `<dataset>_{valid,test}.parquet` or `.csv`;
            see `larp_core.data.split.paper_lists`.
        spotify: asks Spotify for what the dataset's own files lack. Its credentials are no setting: see
            `spotify_credentials`.
        clap_pt: a hub name or folder of a `ClapModel`, or vectors made elsewhere; by default what the recipe names.
        mule, jukebox: vectors made elsewhere, see `larp_core.encoders.precomputed`.
        mule_command, jukebox_command: a command that makes these vectors from clips, see `larp_core.encoders.command`.
    """

    data_dir: Path = field(metadata=_by("LARP_DATA", "place"))
    recipe: Recipe = field(metadata=_by("LARP_RECIPE", "recipe"))
    datasets: tuple[str, ...] = field(metadata=_by("LARP_DATASETS", "names"))
    audio_dir: Path | None = field(default=None, metadata=_by("LARP_AUDIO_DIR", "folder"))
    audio_urls: Path | None = field(default=None, metadata=_by("LARP_AUDIO_URLS", "file"))
    audio_sources: str = field(default="", metadata=_by("LARP_AUDIO_SOURCES"))
    audio_retry: str = field(default="", metadata=_by("LARP_AUDIO_RETRY"))
    cookies_file: Path | None = field(default=None, metadata=_by("LARP_COOKIES_FILE", "file"))
    paper_lists_dir: Path | None = field(default=None, metadata=_by("LARP_PAPER_LISTS_DIR", "folder"))
    spotify: bool = field(default=False, metadata=_by("LARP_SPOTIFY", "switch"))
    clap_pt: str = field(default="", metadata=_by("LARP_CLAP_PT", "weights", may_be_hub_name=True))
    mule: str = field(default="", metadata=_by("LARP_MULE", "weights"))
    mule_command: str = field(default="", metadata=_by("LARP_MULE_COMMAND"))
    jukebox: str = field(default="", metadata=_by("LARP_JUKEBOX", "weights"))
    jukebox_command: str = field(default="", metadata=_by("LARP_JUKEBOX_COMMAND"))

    def __post_init__(self) -> None:
        for dataset in self.datasets:
            if dataset not in DATASETS:
                raise UserError(f"LARP_DATASETS: unknown dataset '{dataset}'; choose from {', '.join(DATASETS)}")
        if not self.datasets:
            raise UserError(f"LARP_DATASETS is empty; name at least one of {', '.join(DATASETS)}")
        demo = DEMO_DATASETS if self.is_demo else ()
        for dataset in self.datasets:
            if self.source_dir(dataset) is None and dataset not in demo:
                why = "while other data is" if dataset in DEMO_DATASETS else "and the demo world has none of it"
                raise UserError(
                    f"LARP_DATASETS names {dataset}, but {DATASETS[dataset].variable} is not set {why}; "
                    f"set it, or leave {dataset} out of LARP_DATASETS"
                )
        self._check_audio()
        for spec in DATASETS.values():
            folder = self.source_dir(spec.name) if spec.holds_audio else None
            if folder and self.data_dir.is_relative_to(folder):
                raise UserError(
                    f"LARP_DATA: {self.data_dir} lies within {spec.variable}, where the pipeline's own files would be "
                    "taken for your music; set LARP_DATA to a folder elsewhere"
                )

    def _check_audio(self) -> None:
        for source in self.audio_sources_in_order:
            if source not in AUDIO_SOURCES:
                raise UserError(
                    f"LARP_AUDIO_SOURCES: unknown source '{source}'; choose from {', '.join(AUDIO_SOURCES)}"
                )
            if (needed := AUDIO_SOURCES[source]) and getattr(self, VARIABLES[needed]) is None:
                raise UserError(f"LARP_AUDIO_SOURCES names {source}, but {needed} is not set; set it, or leave it out")
        if self.audio_retry not in ("", "final"):
            raise UserError(f"LARP_AUDIO_RETRY: '{self.audio_retry}' means nothing; make it 'final', or unset it")

    @property
    def is_demo(self) -> bool:
        """True when no source folder is configured, so that the demo world stands in for all of them."""
        return all(self.source_dir(dataset) is None for dataset in DATASETS)

    def source_dir(self, dataset: str) -> Path | None:
        folder: Path | None = getattr(self, f"{dataset}_dir")
        return folder

    def raw_folder(self, dataset: str) -> Path:
        """The folder, or the zip, that the dataset is read from: the user's, or the demo world's.

        Raises:
            UserError: there is neither.
        """
        spec = DATASETS[dataset]
        if (folder := self.source_dir(dataset)) is not None:
            return folder
        if spec.demo_folder is None:
            raise UserError(f"{spec.variable} is not set, and the demo world has no {dataset}; set it to a folder")
        return self.shared.demo_world / spec.demo_folder

    def audio_dir_of(self, dataset: str) -> Path | None:
        """The user's folder with the dataset's audio, if there is one."""
        return self.source_dir(dataset) if DATASETS[dataset].holds_audio else self.audio_dir

    @property
    def audio_sources_in_order(self) -> tuple[str, ...]:
        if self.audio_sources:
            return tuple(name for word in self.audio_sources.split(",") if (name := word.strip()))
        needed = {source: variable for source, variable in AUDIO_SOURCES.items() if variable}
        return tuple(source for source, variable in needed.items() if getattr(self, VARIABLES[variable]))

    @property
    def shared(self) -> SharedPaths:
        return SharedPaths(self.data_dir)

    def paths(self, dataset: str) -> DatasetPaths:
        return DatasetPaths(self.data_dir, dataset)


VARIABLES = {
    setting_of(known).variable: known.name
    for known in sorted(fields(Settings), key=lambda known: known.name not in ("data_dir", "recipe", "datasets"))
}
"""Environment variable: the setting that it stands for, by its argument of `make_settings`."""

FOLDER_VARIABLES = (*(spec.variable for spec in DATASETS.values()), "LARP_AUDIO_DIR")
"""Folders of raw files and audio, which grow while the pipeline watches them."""
