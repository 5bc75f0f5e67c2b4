"""What a run would miss, said before it starts: programs, disk, cookies, sources. Each finding says what to do.

Nothing is asked over the network.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from larp_core.audio.acquire.pairs import BadRow
from larp_core.config.datasets import DATASETS
from larp_core.config.environment import spotify_credentials
from larp_core.config.settings import AUDIO_SOURCES, VARIABLES, Settings
from larp_core.runtime.errors import UserError

OLD_COOKIES_DAYS = 30
OLDEST_DENO = (2, 3)
BYTES_PER_SECOND_OF_AUDIO = 20_000
"""160 kbit/s, what video sites send."""
BYTES_PER_CLIP = 700_000
"""FLAC of 10 s and its mel spectrogram."""
BYTES_OF_THE_DEMO = 3.3e9
"""What `train_all` leaves of the demo world in the recipe `demo`, both datasets."""

SECONDS_OF_A_TRACK = 240.0
DAY_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Finding:
    """One line for a person: what was looked at, what is so, and what to do where it is not right."""

    name: str
    is_fine: bool
    says: str

    def __str__(self) -> str:
        return f"{'ok ' if self.is_fine else 'fix'} {self.name}: {self.says}"


def examine(settings: Settings, dataset: str = "") -> list[Finding]:
    """All findings, for one dataset or for all configured ones; the disk is judged by what these still need."""
    datasets = (dataset,) if dataset else settings.datasets
    needs_youtube = "youtube" in settings.audio_sources_in_order and not settings.is_demo
    return [
        _audio_sources(settings, datasets),
        *(_source_files(settings, source) for source in settings.audio_sources_in_order),
        _javascript(needs_youtube),
        _ffmpeg(),
        _cookies(settings.cookies_file, needs_youtube),
        _pauses(settings),
        _disk(settings, datasets),
        _spotify(settings),
    ]


def _audio_sources(settings: Settings, datasets: tuple[str, ...]) -> Finding:
    named = settings.audio_sources_in_order
    unused = [
        variable
        for source, variable in AUDIO_SOURCES.items()
        if variable and getattr(settings, VARIABLES[variable]) and source not in named
    ]
    if unused:
        says = f"{', '.join(named)}; {', '.join(unused)} is set and not used: name its source in LARP_AUDIO_SOURCES too"
        return Finding("audio sources", False, says)
    if named:
        return Finding("audio sources", True, f"{', then '.join(named)}; each is asked for what those before lack")
    if settings.is_demo or all(DATASETS[dataset].holds_audio for dataset in datasets):
        return Finding("audio sources", True, "none needed: the files are there")
    says = "none: tracks are carried by their captions; set LARP_AUDIO_DIR to a folder of audio to change that"
    return Finding("audio sources", True, says)


def _source_files(settings: Settings, source: str) -> Finding:
    """The mapping or list of a source, read to its end."""
    from larp_core.audio.acquire.downloads import read_urls
    from larp_core.audio.acquire.sources import LocalFolder

    try:
        if source == "folder" and settings.audio_dir:
            folder = LocalFolder(settings.audio_dir)
            return _listed(source, f"{len(folder.files):,} audio files", folder.bad_rows)
        if source == "urls" and settings.audio_urls:
            urls = read_urls(settings.audio_urls)
            return _listed(source, f"{len(urls.values):,} URLs", urls.bad_rows)
    except UserError as error:
        return Finding(source, False, str(error))
    acquire = settings.recipe.acquire
    hourly = 3600 / acquire.search_seconds_between_tracks if acquire.search_seconds_between_tracks else float("inf")
    return Finding(source, True, f"some {hourly:.0f} tracks an hour at most; take only what you may")


def _listed(source: str, has: str, bad_rows: Sequence[BadRow]) -> Finding:
    if not bad_rows:
        return Finding(source, True, has)
    first = f"{len(bad_rows):,} rows can't be used and the others can; the first, {bad_rows[0]}"
    return Finding(source, False, f"{has}; {first}")


def _javascript(is_needed: bool) -> Finding:
    name = "JavaScript runtime"
    try:
        import deno

        version = _version([deno.find_deno_bin(), "--version"])
    except (ImportError, OSError, subprocess.SubprocessError) as error:
        says = f"deno does not run ({error}); reinstall it with pip install --force-reinstall deno"
        return Finding(name, not is_needed, says if is_needed else f"{says}; only the source youtube needs it")
    number = version.split()[1] if len(version.split()) > 1 else ""
    parts = tuple(int(part) for part in number.split(".")[:2] if part.isdigit())
    if parts < OLDEST_DENO:
        return Finding(name, not is_needed, f"{version} is too old for yt-dlp; pip install --upgrade deno")
    return Finding(name, True, version)


def _ffmpeg() -> Finding:
    try:
        import imageio_ffmpeg

        version = _version([imageio_ffmpeg.get_ffmpeg_exe(), "-version"])
    except (ImportError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        says = f"it does not run ({error}); reinstall it with pip install --force-reinstall imageio-ffmpeg"
        return Finding("ffmpeg", False, says)
    return Finding("ffmpeg", True, " ".join(version.split()[:3]))


def _version(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    return done.stdout.splitlines()[0].strip() if done.stdout else ""


def _cookies(file: Path | None, is_needed: bool) -> Finding:
    if file is None:
        says = "none; where the source youtube asks for a sign-in, export your browser's to a file: LARP_COOKIES_FILE"
        return Finding("cookies", True, says if is_needed else "none, and no source that takes any")
    if not file.is_file():
        return Finding("cookies", False, f"{file} is not there; correct LARP_COOKIES_FILE, or unset it")
    with file.open("rb") as handle:
        first = handle.readline(200)
    if b"cookie" not in first.lower():
        says = f"{file} does not begin with '# Netscape HTTP Cookie File'; export it in that format"
        return Finding("cookies", False, says)
    days = (time.time() - file.stat().st_mtime) / DAY_SECONDS
    if days > OLD_COOKIES_DAYS:
        return Finding("cookies", False, f"{days:.0f} days old, so they may have run out; export them again to {file}")
    return Finding("cookies", True, f"{days:.0f} days old")


def _pauses(settings: Settings) -> Finding:
    from larp_core.runtime.pacing import Gate

    folders = (settings.shared.audio_sources, settings.shared.spotify)
    files = [file for folder in folders for file in sorted(folder.glob("*.json")) if Gate(file).notice]
    if not files:
        return Finding("pauses", True, "no source is paused")
    notices = "; ".join(Gate(file).notice for file in files)
    says = f"{notices}. To ask at once all the same, delete {', '.join(map(str, files))}"
    return Finding("pauses", False, says)


def _disk(settings: Settings, datasets: tuple[str, ...]) -> Finding:
    place = next(path for path in (settings.data_dir, *settings.data_dir.parents) if path.exists())
    free = shutil.disk_usage(place).free
    unknown: list[str] = []
    told = ""
    if settings.is_demo and not settings.shared.demo_world.exists():
        needed = BYTES_OF_THE_DEMO
        told = "the demo world and what is made of it"
    else:
        tracks_of = {name: _tracks_to_get(settings, name) for name in datasets if _gets_audio(settings, name)}
        unknown = [name for name, tracks in tracks_of.items() if tracks is None]
        known = {name: tracks for name, tracks in tracks_of.items() if tracks is not None}
        needed = sum(_bytes_of(settings, name, tracks) for name, tracks in known.items())
        if known:
            told = f"{sum(map(len, known.values())):,} tracks without a clip yet"
    says = f"{_gib(free)} free"
    if told:
        says += f"; {told} may take {_gib(needed)}"
    if unknown:
        says += f"; how much {' and '.join(unknown)} may take shows when cold_start_split has been made"
    if needed > free:
        return Finding("disk", False, f"{says}; free some space, or set LARP_DATA to another disk")
    return Finding("disk", True, says)


def _gets_audio(settings: Settings, dataset: str) -> bool:
    return bool(settings.audio_sources_in_order) or settings.is_demo or DATASETS[dataset].holds_audio


def _tracks_to_get(settings: Settings, dataset: str) -> pl.DataFrame | None:
    """The tracks that have no clip yet, with their lengths; None before the split."""
    paths = settings.paths(dataset)
    lengths = next((path for path in (paths.metadata, paths.tracks) if path.exists()), None)
    if lengths is None or not paths.split_tracks.exists():
        return None
    split = pl.read_parquet(paths.split_tracks, columns=["track_id"])
    tracks = pl.read_parquet(lengths, columns=["track_id", "duration_ms"]).join(split, on="track_id")
    return _without(tracks, paths.clips)


def _without(tracks: pl.DataFrame, table: Path) -> pl.DataFrame:
    """Those that `table`, the ledger or that of the clips, does not call `ok`."""
    if not table.exists():
        return tracks
    done = pl.read_parquet(table, columns=["track_id", "status"]).filter(status="ok")
    return tracks.join(done, on="track_id", how="anti")


def _bytes_of(settings: Settings, dataset: str, tracks: pl.DataFrame) -> float:
    clips = tracks.height * settings.recipe.clip.clips_per_track * BYTES_PER_CLIP
    if not (settings.is_demo or {"urls", "youtube"} & set(settings.audio_sources_in_order)):
        return clips  # the user's files are used where they lie
    seconds = _without(tracks, settings.paths(dataset).ledger)["duration_ms"] / 1000
    return clips + float(seconds.fill_null(SECONDS_OF_A_TRACK).clip(0, 3600).sum()) * BYTES_PER_SECOND_OF_AUDIO


def _spotify(settings: Settings) -> Finding:
    from larp_core.data.spotify.answers import SpotifyAnswers

    if not settings.spotify:
        return Finding("Spotify", True, "off: names come from the dataset's own files; LARP_SPOTIFY=1 turns it on")
    if settings.is_demo:
        return Finding("Spotify", True, "on, and not asked: the demo world has its own names")
    if spotify_credentials() is None:
        says = "on, but SPOTIPY_CLIENT_ID or SPOTIPY_CLIENT_SECRET is not set; set both, or unset LARP_SPOTIFY"
        return Finding("Spotify", False, says)
    says = "on, id and secret are set; its terms forbid training on its content"
    path = settings.shared.spotify / "answers.sqlite"
    if not path.exists():
        return Finding("Spotify", True, f"{says}; nothing has been asked yet")
    try:
        with SpotifyAnswers(path) as answers:
            counts = answers.counts()
    except UserError as error:
        return Finding("Spotify", False, str(error))
    kept = ", ".join(f"{counts[status]:,} {status}" for status in sorted(counts)) or "none"
    return Finding("Spotify", True, f"{says}; answers kept: {kept}")


def _gib(num_bytes: float) -> str:
    return f"{num_bytes / 2**30:.1f} GiB"
