"""The notebook that Dagster's UI plays clips in, rendered as it renders it."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import nbformat
import numpy as np
import soundfile
from nbconvert import HTMLExporter

from larp_core.audio.clips.player import write_player


def test_each_clip_is_in_the_page_with_a_player(tmp_path: Path) -> None:
    clips = {}
    for number, title in enumerate(["one, from 20.0 s", '<script>alert("x")</script>']):
        clips[title] = tmp_path / f"{number}.flac"
        soundfile.write(clips[title], np.sin(np.arange(48_000) / (9 + number)), 48_000, subtype="PCM_16")
    notebook = nbformat.reads(write_player(clips, tmp_path / "clips.ipynb").read_text(), as_version=4)
    nbformat.validate(notebook)
    page, _ = HTMLExporter().from_notebook_node(notebook)
    players = re.findall(r'<audio controls[^>]*src="data:audio/flac;base64,([^"]+)"', page)
    assert [base64.b64decode(data) for data in players] == [file.read_bytes() for file in clips.values()]
    assert "one, from 20.0 s" in page and "<script>alert" not in page
