"""Every file that the pipeline writes: `larp_core.config.paths`."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from larp_core.config.paths import DatasetPaths, SharedPaths
from reference_pages.docstrings import escaped, table

DATA, DATASET = Path("/LARP_DATA"), "<dataset>"
MARK = "<!-- generated: paths -->"

WITHOUT_DOCSTRING = {
    "root": "The dataset's folder.",
    "steps": "Stamps of finished steps, see `larp_core.graph.memo`.",
    "source": "The raw files that the dataset was read from: kind, folder, licence, sizes.",
    "playlists": "What the raw files say of playlists.",
    "tracks": "What the raw files say of tracks.",
    "interactions": "Which track stands in which playlist, and where.",
    "split_playlists": "The side of each playlist: train, valid or test.",
    "split_tracks": "The side of each track.",
    "holdouts": "Seeds and targets of valid and test playlists.",
    "metadata": "Names and lengths of the split's tracks, and where each came from.",
    "captions": "One caption a track.",
    "ledger": "Every track's audio: outcome, reason, source, hash.",
    "clips": "One row a clip, or why there is none.",
    "mels": "Spectrograms of all clips, float16 `[num_clips, 1001, 64]`.",
    "mel_rows": "Whose clip each row of `mels.npy` is.",
    "graph": "R as the table `interactions`, O as the view `co_occurrence`.",
    "model": "A `transformers` folder; `training.json` has the curve.",
    "embeddings": "One vector a track; the footer tells the weights' hash and licence.",
    "scores": "Metrics with intervals; with `_playlists`, the same for each playlist.",
    "rankings": "The ranked lists, best first.",
    "reports": "Tables, figures and pages.",
    "listening_page": "A page to listen to: test playlists, their continuations, the clips.",
}
"""What the paths without a docstring hold, whose names say it to a reader of the code."""


def paths_tables() -> str:
    shared = table(("in Python", "path", "what it holds"), _rows(SharedPaths(DATA)))
    of_dataset = table(("in Python", "path", "what it holds"), _rows(DatasetPaths(DATA, DATASET)))
    return f"### Of one dataset: `DatasetPaths`\n\n{of_dataset}\n\n### Shared: `SharedPaths`\n\n{shared}\n"


def _rows(paths: SharedPaths | DatasetPaths) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for name, member in vars(type(paths)).items():
        if name.startswith("_") or not (isinstance(member, property) or inspect.isfunction(member)):
            continue
        function = member.fget if isinstance(member, property) else member
        given = list(inspect.signature(function).parameters)[1:] if function else []
        value: Any = getattr(paths, name)
        path: Path = value(*(f"<{argument}>" for argument in given)) if callable(value) else value
        called = f"`{name}({', '.join(given)})`" if given else f"`{name}`"
        said = escaped(inspect.getdoc(member) or WITHOUT_DOCSTRING.get(name, ""))
        rows.append((called, f"`{path.relative_to(DATA).as_posix()}`", said))
    return rows
