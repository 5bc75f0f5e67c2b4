"""The sources that the settings name, in their order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from larp_core.audio.acquire.downloads import DownloadOptions, Search, UrlList, YtDlp
from larp_core.audio.acquire.own_music import OwnMusic
from larp_core.audio.acquire.paced import Paced
from larp_core.audio.acquire.server import serve_folder
from larp_core.audio.acquire.sources import AudioSource, LocalFolder, Track, Unconfigured
from larp_core.audio.acquire.tagged import TaggedFiles
from larp_core.config.datasets import DATASETS
from larp_core.config.settings import Settings
from larp_core.runtime.pacing import Gate


@contextlib.contextmanager
def configured_sources(settings: Settings, dataset: str, tracks: Sequence[Track]) -> Iterator[list[AudioSource]]:
    """The sources to be tried for each track, one after the other, ready to be handed to other processes.

    The demo world's files come over HTTP from a server that runs meanwhile, as real ones would.

    Raises:
        UserError: a folder, mapping or list of URLs that can't be used.
    """
    # Nobody has uploaded the demo world's songs: a setting meant for real data doesn't search for them.
    named = [name for name in settings.audio_sources_in_order if not (settings.is_demo and name == "youtube")]
    own = settings.audio_dir_of(dataset)
    if DATASETS[dataset].holds_audio and own:
        yield [OwnMusic(own)]
    elif named:
        yield [_source(name, settings, dataset, tracks) for name in named]
    elif settings.is_demo:
        options = DownloadOptions(settings.recipe.acquire, allow_private=True)
        with serve_folder(settings.shared.demo_world / "audio") as server:
            yield [YtDlp(server.url + "/{file_name}.mp3", options=options)]
    else:
        yield [Unconfigured()]


def _source(name: str, settings: Settings, dataset: str, tracks: Sequence[Track]) -> AudioSource:
    acquire = settings.recipe.acquire
    options = DownloadOptions(acquire, settings.cookies_file)
    if name == "folder" and settings.audio_dir:
        return _folder(settings.audio_dir, settings, dataset, tracks)
    if name == "urls" and settings.audio_urls:
        return paced(UrlList(settings.audio_urls, options), settings, acquire.url_seconds_between_tracks)
    return paced(Search(options=options), settings, acquire.search_seconds_between_tracks)


def paced(source: AudioSource, settings: Settings, seconds_between: float) -> Paced:
    acquire = settings.recipe.acquire
    state = settings.shared.audio_sources / f"{source.name}.json"
    return Paced(source, Gate(state, seconds_between, acquire.first_pause_seconds, acquire.max_pause_seconds))


def _folder(audio_dir: Path, settings: Settings, dataset: str, tracks: Sequence[Track]) -> LocalFolder:
    """The user's folder. Tags are read only where a track is not found by its id."""
    folder = LocalFolder(audio_dir)
    if any(track.track_name and folder.by_id(track) is None for track in tracks):
        tolerance = settings.recipe.acquire.duration_tolerance_seconds
        folder.by_names = TaggedFiles(folder.folder, folder.files, settings.paths(dataset).audio_tags, tolerance)
    return folder
