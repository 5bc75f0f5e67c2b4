"""The environment variables: `larp_core.config.settings`."""

from __future__ import annotations

from larp_core.config.datasets import DATASETS
from larp_core.config.environment import make_settings
from larp_core.config.recipes import RECIPES
from larp_core.config.settings import AUDIO_SOURCES, VARIABLES, Settings
from reference_pages.docstrings import escaped, meanings, table

INTRODUCTION = """\
# Settings

Settings say where things are and which recipe is run. Everything else is part of a [recipe](recipes.md).

Each setting is an environment variable. `larp` takes it as an option too, which then wins over the variable. An empty
variable counts as one that is not set. A folder or file that is not there is reported before anything is run. If no
folder of raw files is set, the run is on the demo world.
"""

SPOTIFY = """\
## Spotify's credentials

`SPOTIPY_CLIENT_ID` and `SPOTIPY_CLIENT_SECRET` are read from the environment only, when `LARP_SPOTIFY=1` has a lookup
made. They are no settings: no file, log or command line has them. See [Names from Spotify](../how-to/spotify.md).
"""


def settings_page() -> str:
    defaults = {"data_dir": "data", "recipe": make_settings().recipe.name}
    said = meanings(Settings.__doc__)
    rows: list[tuple[object, ...]] = [
        (f"`{variable}`", f"`--{name.replace('_', '-')}`", _default(defaults.get(name)), _meaning(name, said))
        for variable, name in VARIABLES.items()
    ]
    return "\n".join([INTRODUCTION, table(("variable", "option", "default", "meaning"), rows), "", SPOTIFY])


def _default(value: object) -> str:
    return f"`{value}`" if value else "not set"


def _meaning(name: str, said: dict[str, str]) -> str:
    for spec in DATASETS.values():
        if VARIABLES[spec.variable] == name:
            is_zip = ", or the zip as it comes" if spec.may_be_zip else ""
            return f"{spec.title}: the folder of the raw files{is_zip}. It holds {escaped(spec.expected_files)}."
    choices = {"recipe": RECIPES, "datasets": DATASETS, "audio_sources": AUDIO_SOURCES}
    text = escaped(said.get(name, ""))
    if name in choices:
        text += f" One of: {', '.join(f'`{choice}`' for choice in choices[name])}."
    return text[:1].upper() + text[1:]
