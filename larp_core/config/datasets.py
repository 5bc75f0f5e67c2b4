"""The datasets: one `DatasetSpec` each, from which settings, steps, assets, sensor, command line and tables follow.

To add one, write its reader and an entry here. Facts alone, nothing heavy: the DAG's process reads them.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DatasetSpec:
    """What a dataset is.

    Attributes:
        name: its folder in the data folder, the first part of its assets' keys.
        title: its name in tables and figures.
        licence, citation: of the raw files.
        variable: the environment variable that names the folder of raw files.
        reader: module with `find_files(folder)`, which lists the raw files or raises a `UserError`, and
            `read_chunks(folder, store, rejects, config)`, which yields `Chunk`s, see `larp_core.data.readers.chunk`.
        expected_files: what the folder should hold, in words.
        origin: what `metadata.parquet` calls the raw files as a source of names.
        split_policy: of the recipes that don't name another.
        holds_audio: whether the folder holds the audio too; `LARP_AUDIO_DIR` is for the others.
        demo_folder: its folder in the demo world, which stands in for it; None where the demo world has none of it.
        may_be_zip: whether the variable may name a zip in place of a folder.
    """

    name: str
    title: str
    licence: str
    citation: str
    variable: str
    reader: str
    expected_files: str
    origin: str
    split_policy: str = "sampled_tracks"
    holds_audio: bool = False
    demo_folder: str | None = None
    may_be_zip: bool = False

    @property
    def reader_module(self) -> Any:
        """The reader, imported; typed Any since modules have no protocol of their own at run time."""
        return importlib.import_module(self.reader)


DATASETS = {
    spec.name: spec
    for spec in (
        DatasetSpec(
            name="mpd",
            title="Million Playlist Dataset",
            licence="research only, no redistribution: the Million Playlist Dataset's terms (AIcrowd, Spotify)",
            citation="Chen, Lamere, Schedl, Zamani: RecSys Challenge 2018, RecSys 2018, doi 10.1145/3240323.3240342",
            variable="LARP_MPD_DIR",
            reader="larp_core.data.readers.mpd",
            expected_files="mpd.slice.*.json files or spotify_million_playlist_dataset.zip",
            origin="MPD slices",
            demo_folder="mpd",
            may_be_zip=True,
        ),
        DatasetSpec(
            name="lfm",
            title="LFM-2b",
            licence="research use only: LFM-2b's terms (JKU Linz, Last.fm)",
            citation="Schedl, Brandl, Lesota et al.: LFM-2b, CHIIR 2022, doi 10.1145/3498366.3505791",
            variable="LARP_LFM_DIR",
            reader="larp_core.data.readers.lfm2b",
            expected_files="listening-events.tsv[.bz2], tracks.tsv[.bz2] (and, where there, spotify-uris and albums)",
            origin="LFM-2b files",
            demo_folder="lfm2b",
        ),
        DatasetSpec(
            name="own",
            title="Own music",
            licence="the user's own files, under whatever terms they came",
            citation="",
            variable="LARP_OWN_DIR",
            reader="larp_core.data.readers.own",
            expected_files="*.m3u or *.m3u8 playlists, or a playlists.csv, beside the music",
            origin="tags and playlists",
            holds_audio=True,
        ),
    )
}
"""By name, in the order of the graph."""

DEMO_DATASETS = tuple(name for name, spec in DATASETS.items() if spec.demo_folder)
"""Those that the demo world stands in for where no source is configured."""
