"""Where things are and which recipe is run: the user's choices, from the environment or the command line, checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from larp_core.config.paths import DatasetPaths, SharedPaths
from larp_core.config.recipes import Recipe, recipe_named
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import make_folder

SOURCE_VARIABLES = {"mpd": "LARP_MPD_DIR", "lfm": "LARP_LFM_DIR", "own": "LARP_OWN_DIR"}
DATASETS = tuple(SOURCE_VARIABLES)
DEMO_DATASETS = ("mpd", "lfm")
"""Those that the demo world stands in for where no source is configured."""
DATASETS_WITH_AUDIO = ("own",)
"""Those whose folder holds the audio too; `LARP_AUDIO_DIR` is for the others."""
VARIABLES = {
    "LARP_DATA": "data_dir",
    "LARP_RECIPE": "recipe",
    "LARP_DATASETS": "datasets",
    **{variable: f"{dataset}_dir" for dataset, variable in SOURCE_VARIABLES.items()},
    "LARP_AUDIO_DIR": "audio_dir",
    "LARP_AUDIO_URLS": "audio_urls",
    "LARP_AUDIO_SOURCES": "audio_sources",
    "LARP_AUDIO_RETRY": "audio_retry",
    "LARP_COOKIES_FILE": "cookies_file",
    "LARP_PAPER_LISTS_DIR": "paper_lists_dir",
    "LARP_SPOTIFY": "spotify",
    "LARP_CLAP_PT": "clap_pt",
    "LARP_MULE": "mule",
    "LARP_MULE_COMMAND": "mule_command",
    "LARP_JUKEBOX": "jukebox",
    "LARP_JUKEBOX_COMMAND": "jukebox_command",
}
"""Environment variable: the argument of `make_settings` that it stands for."""
FOLDER_VARIABLES = (*SOURCE_VARIABLES.values(), "LARP_AUDIO_DIR")
FILE_VARIABLES = ("LARP_AUDIO_URLS", "LARP_COOKIES_FILE")
WEIGHTS_VARIABLES = ("LARP_CLAP_PT", "LARP_MULE", "LARP_JUKEBOX")
VECTOR_SUFFIXES = (".parquet", ".npy")
AUDIO_SOURCES = {"folder": "LARP_AUDIO_DIR", "urls": "LARP_AUDIO_URLS", "youtube": None}
"""Where audio may come from: the variable that each one needs."""


@dataclass(frozen=True)
class Settings:
    """One run's choices.

    Attributes:
        data_dir: everything that the pipeline writes.
        recipe: the complete, frozen configuration.
        datasets: which of `DATASETS` the graph is built for.
        mpd_dir, lfm_dir, own_dir: folders of real files, or MPD's zip; with none, the demo world is generated.
        audio_dir: a folder of audio named by track id, or with a mapping file; see `larp_core.audio.acquire.sources`.
        audio_urls: a CSV of direct links, see `larp_core.audio.acquire.downloads`.
        audio_sources: names of `AUDIO_SOURCES` with commas, in the order in which they are tried; by default those
            that have a folder or a file. What is not named here is not asked.
        audio_retry: `final` asks once more for what was not found or removed.
        cookies_file: cookies of a browser, in the format of Netscape; it is read and never written.
        paper_lists_dir: the authors' published track lists, see `larp_core.data.split.paper_lists`.
        spotify: asks Spotify for what the dataset's own files lack. Its credentials are no setting: see
            `spotify_credentials`.
        clap_pt: a hub name or folder of a `ClapModel`, or vectors made elsewhere.
        mule, jukebox: vectors made elsewhere, see `larp_core.encoders.precomputed`.
        mule_command, jukebox_command: what makes them from clips, see `larp_core.encoders.command`.
    """

    data_dir: Path
    recipe: Recipe
    datasets: tuple[str, ...]
    mpd_dir: Path | None = None
    lfm_dir: Path | None = None
    own_dir: Path | None = None
    audio_dir: Path | None = None
    audio_urls: Path | None = None
    audio_sources: str = ""
    audio_retry: str = ""
    cookies_file: Path | None = None
    paper_lists_dir: Path | None = None
    spotify: bool = False
    clap_pt: str = ""
    mule: str = ""
    mule_command: str = ""
    jukebox: str = ""
    jukebox_command: str = ""

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
                    f"LARP_DATASETS names {dataset}, but {SOURCE_VARIABLES[dataset]} is not set {why}; "
                    f"set it, or leave {dataset} out of LARP_DATASETS"
                )
        self._check_audio()
        if self.own_dir and self.data_dir.is_relative_to(self.own_dir):
            raise UserError(
                f"LARP_DATA: {self.data_dir} lies within LARP_OWN_DIR, where the pipeline's own files would be taken "
                "for your music; set LARP_DATA to a folder elsewhere"
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

    def audio_dir_of(self, dataset: str) -> Path | None:
        """The user's folder with the dataset's audio, if there is one."""
        return self.source_dir(dataset) if dataset in DATASETS_WITH_AUDIO else self.audio_dir

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


def make_settings(
    *,
    data_dir: str = "data",
    recipe: str = "demo",
    datasets: str | None = None,
    mpd_dir: str | None = None,
    lfm_dir: str | None = None,
    own_dir: str | None = None,
    audio_dir: str | None = None,
    audio_urls: str | None = None,
    audio_sources: str | None = None,
    audio_retry: str | None = None,
    cookies_file: str | None = None,
    paper_lists_dir: str | None = None,
    spotify: str | None = None,
    clap_pt: str | None = None,
    mule: str | None = None,
    mule_command: str | None = None,
    jukebox: str | None = None,
    jukebox_command: str | None = None,
) -> Settings:
    """Settings from plain strings, as the environment and the command line give them; empty strings count as absent.

    Raises:
        UserError: an unknown recipe or dataset, or a dataset named without its folder.
    """
    folders = {"mpd": _path(mpd_dir), "lfm": _path(lfm_dir), "own": _path(own_dir)}
    configured = [name for name in DATASETS if folders[name]] or list(DEMO_DATASETS)
    names = [name.strip() for name in datasets.split(",")] if datasets else configured
    return Settings(
        data_dir=Path(data_dir).expanduser().resolve(),
        recipe=recipe_named(recipe),
        datasets=tuple(name for name in dict.fromkeys(names) if name),
        **{f"{name}_dir": folder for name, folder in folders.items()},
        audio_dir=_path(audio_dir),
        audio_urls=_path(audio_urls),
        audio_sources=audio_sources or "",
        audio_retry=audio_retry or "",
        cookies_file=_path(cookies_file),
        paper_lists_dir=_path(paper_lists_dir),
        spotify=_switch("LARP_SPOTIFY", spotify),
        clap_pt=_path_or_name(clap_pt),
        mule=_path_or_name(mule),
        mule_command=mule_command or "",
        jukebox=_path_or_name(jukebox),
        jukebox_command=jukebox_command or "",
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
    for variable in (*FOLDER_VARIABLES, "LARP_PAPER_LISTS_DIR"):
        folder = getattr(settings, VARIABLES[variable])
        if folder is None or folder.is_dir():
            continue
        if not (variable == "LARP_MPD_DIR" and folder.suffix == ".zip" and folder.is_file()):
            raise UserError(f"{variable}: {folder} is not a folder; correct it, or unset {variable}")
    for variable in FILE_VARIABLES:
        file = getattr(settings, VARIABLES[variable])
        if file is not None and not file.is_file():
            raise UserError(f"{variable}: {file} is not a file; correct it, or unset {variable}")
    for variable in WEIGHTS_VARIABLES:
        _check_weights(variable, getattr(settings, VARIABLES[variable]))
    return settings


@dataclass(frozen=True)
class SpotifyCredentials:
    """Of an app registered at Spotify. They are handed to its client alone: no file, log or command line has them."""

    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)


def spotify_credentials(environment: Mapping[str, str] = os.environ) -> SpotifyCredentials | None:
    """From `SPOTIPY_CLIENT_ID` and `SPOTIPY_CLIENT_SECRET`; None where one is missing, or holds what none can."""
    pair = [environment.get(f"SPOTIPY_CLIENT_{name}", "").strip() for name in ("ID", "SECRET")]
    return SpotifyCredentials(*pair) if all(value and value.isascii() for value in pair) else None


def _switch(variable: str, value: str | None) -> bool:
    """Raises UserError where it is neither on nor off."""
    words = {"1": True, "true": True, "yes": True, "on": True, "": False, "0": False}
    words |= {"false": False, "no": False, "off": False}
    word = (value or "").strip().lower()
    if word not in words:
        raise UserError(f"{variable}: '{value}' is neither on nor off; make it 1 or 0")
    return words[word]


def _check_weights(variable: str, value: str) -> None:
    """Raises UserError for a path that isn't there, or is neither a folder nor vectors; a hub name is tried later."""
    path = Path(value)
    if not value or path.is_dir() or (path.suffix in VECTOR_SUFFIXES and path.is_file()):
        return
    kinds = f"a folder, or vectors in {' or '.join(VECTOR_SUFFIXES)}"
    if variable == "LARP_CLAP_PT" and not path.is_absolute():
        return
    raise UserError(f"{variable}: {value} is not {kinds}; correct it, or unset {variable}")


def _path_or_name(value: str | None) -> str:
    """An absolute path where the value looks like one (`/`, `.` or `~` first, or vectors' suffix, or is there), else
    the hub name that it is."""
    if not value:
        return ""
    path = Path(value).expanduser()
    looks_like_a_path = value[0] in "/.~" or path.suffix in VECTOR_SUFFIXES or path.exists()
    return str(path.resolve()) if looks_like_a_path else value


def _path(value: str | None) -> Path | None:
    return Path(value).expanduser().resolve() if value else None
