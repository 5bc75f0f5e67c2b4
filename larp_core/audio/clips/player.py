"""A notebook of clips with a player each. It is not run: it is what Dagster's web UI can show sound in.

The UI's Markdown lets pictures through and no sound; a notebook it renders by itself (nbconvert).
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from larp_core.runtime.files import write_json


def write_player(clips: Mapping[str, Path], path: Path) -> Path:
    """Writes `path` (nbformat 4.5, `.ipynb`) with the FLAC files of `clips`, title to file, inside of it."""
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"clip-{number}",
            "metadata": {},
            "execution_count": None,
            "source": [],
            "outputs": [{"output_type": "display_data", "metadata": {}, "data": {"text/html": [_player(title, file)]}}],
        }
        for number, (title, file) in enumerate(clips.items())
    ]
    notebook: dict[str, Any] = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    return write_json(notebook, path)


def _player(title: str, file: Path) -> str:
    data = base64.b64encode(file.read_bytes()).decode("ascii")
    return f'<p>{html.escape(title)}</p><audio controls preload="none" src="data:audio/flac;base64,{data}"></audio>'
