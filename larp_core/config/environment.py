"""How settings are read: the environment and the command line's words, by pydantic-settings, and what is then there.

It stands apart from `larp_core.config.settings` so that a worker process, which is handed its settings, loads none of
it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, create_model
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from larp_core.config.datasets import DATASETS, DEMO_DATASETS
from larp_core.config.recipes import DEMO, recipe_named
from larp_core.config.settings import VARIABLES, VECTOR_SUFFIXES, Settings, setting_of
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import make_folder


def _absolute(path: Path) -> Path:
    """Raises ValueError for a `~` of somebody who has no home."""
    try:
        return path.expanduser().resolve()
    except RuntimeError as error:
        raise ValueError(str(error).rstrip(".").lower()) from None


def _path_or_name(value: str) -> str:
    """An absolute path where the value looks like one (`/`, `.` or `~` first, or vectors' suffix, or is there), else
    the hub name that it is."""
    path = Path(value)
    looks_like_a_path = value[0] in "/.~" or path.suffix in VECTOR_SUFFIXES or path.exists()
    return str(_absolute(path)) if looks_like_a_path else value


def _names(value: str) -> tuple[str, ...]:
    return tuple(name for name in dict.fromkeys(word.strip() for word in value.split(",")) if name)


Place = Annotated[Path, AfterValidator(_absolute)]
TYPES: dict[str, Any] = {
    "place": Place,
    "folder": Place,
    "file": Place,
    "text": str,
    "names": Annotated[str, AfterValidator(_names)],
    "recipe": Annotated[str, AfterValidator(recipe_named)],
    "switch": Annotated[bool, BeforeValidator(lambda word: word.strip() or "0")],
    "weights": Annotated[str, AfterValidator(_path_or_name)],
}
"""What a word becomes, by the setting's kind."""


class _Words(BaseSettings):
    """Words for `Settings`, of which each may be missing."""

    model_config = SettingsConfigDict(case_sensitive=True, populate_by_name=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is handed in alone: `_read` is told which environment counts."""
        return (init_settings,)


_FIELDS: dict[str, Any] = {
    known.name: (TYPES[setting_of(known).kind] | None, Field(None, validation_alias=setting_of(known).variable))
    for known in fields(Settings)
}
Words = create_model("Words", __base__=_Words, **_FIELDS)


def make_settings(**options: str | None) -> Settings:
    """Settings from plain strings by the name of the setting, as the command line gives them; empty strings count as
    absent. Without any it is the demo world by the recipe `demo` in the folder `data`.

    Raises:
        UserError: an unknown recipe or dataset, or a dataset named without its folder.
    """
    return _settings({}, options)


def _settings(environment: Mapping[str, str], options: Mapping[str, str | None]) -> Settings:
    given = _read(environment, options)
    configured = tuple(name for name in DATASETS if f"{name}_dir" in given)
    unset: dict[str, Any] = {
        "data_dir": Path("data").resolve(),
        "recipe": DEMO,
        "datasets": configured or DEMO_DATASETS,
    }
    return Settings(**unset | given)


def settings_from(environment: Mapping[str, str] = os.environ, **options: str) -> Settings:
    """Settings from `VARIABLES`; an option wins over its variable, and an empty variable counts as an absent one.

    What can be seen to be wrong at once is said before anything is run.

    Raises:
        UserError: see `make_settings`; also a folder that isn't there, or a data folder that can't be written.
    """
    settings = _settings(environment, options)
    make_folder(settings.data_dir)
    _check_is_there(settings)
    return settings


def _read(environment: Mapping[str, str], options: Mapping[str, str | None]) -> dict[str, Any]:
    """Arguments of `Settings` by name; options win over variables, and what is empty counts as absent.

    Raises:
        UserError: a word that means nothing for its setting.
        TypeError: an option that is no setting.
    """
    if unknown := options.keys() - set(VARIABLES.values()):
        raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
    source = EnvSettingsSource(Words)
    source.env_vars = environment
    found = {VARIABLES.get(name, name): word for name, word in source().items()}
    try:
        words = Words(**{name: word for name, word in {**found, **options}.items() if word})
    except ValidationError as error:
        raise _told(error) from None
    return {name: value for name, value in words if value is not None}


def _told(error: ValidationError) -> UserError:
    """The first fault, as one line."""
    fault = error.errors()[0]
    own = fault.get("ctx", {}).get("error")
    if isinstance(own, UserError):
        return own
    name, value = str(fault["loc"][0]), fault["input"]
    variable = next(variable for variable, setting in VARIABLES.items() if name in (variable, setting))
    if fault["type"].startswith("bool"):
        return UserError(f"{variable}: '{value}' is neither on nor off; make it 1 or 0")
    return UserError(f"{variable}: '{value}': {own or fault['msg'].lower()}; correct it, or unset {variable}")


def _check_is_there(settings: Settings) -> None:
    """Raises UserError for a folder, file or weights that settings name and that are not there."""
    zips = {f"{name}_dir" for name, spec in DATASETS.items() if spec.may_be_zip}
    for known in fields(settings):
        setting, value = setting_of(known), getattr(settings, known.name)
        remedy = f"correct it, or unset {setting.variable}"
        if setting.kind == "folder" and value is not None and not value.is_dir():
            if not (known.name in zips and value.suffix == ".zip" and value.is_file()):
                raise UserError(f"{setting.variable}: {value} is not a folder; {remedy}")
        elif setting.kind == "file" and value is not None and not value.is_file():
            raise UserError(f"{setting.variable}: {value} is not a file; {remedy}")
        elif setting.kind == "weights" and value and not _may_be_weights(value, setting.may_be_hub_name):
            kinds = f"a folder, or vectors in {' or '.join(VECTOR_SUFFIXES)}"
            raise UserError(f"{setting.variable}: {value} is not {kinds}; {remedy}")


def _may_be_weights(value: str, may_be_hub_name: bool) -> bool:
    """Whether there is a folder or vectors; a hub name is tried later."""
    path = Path(value)
    is_there = path.is_dir() or (path.suffix in VECTOR_SUFFIXES and path.is_file())
    return is_there or (may_be_hub_name and not path.is_absolute())


@dataclass(frozen=True)
class SpotifyCredentials:
    """Of an app registered at Spotify. They are handed to its client alone: no file, log or command line has them."""

    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)


def spotify_credentials(environment: Mapping[str, str] = os.environ) -> SpotifyCredentials | None:
    """From `SPOTIPY_CLIENT_ID` and `SPOTIPY_CLIENT_SECRET`; None where one is missing, or holds what none can."""
    pair = [environment.get(f"SPOTIPY_CLIENT_{name}", "").strip() for name in ("ID", "SECRET")]
    return SpotifyCredentials(*pair) if all(value and value.isascii() for value in pair) else None
