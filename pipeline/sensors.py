"""What runs when the user's files change. Stopped until somebody starts it in the UI."""

import json
import time
from pathlib import Path

import dagster as dg

from assets import sensitivity
from larp_core.config.datasets import DATASETS
from larp_core.config.settings import FOLDER_VARIABLES, Settings
from larp_core.runtime.files import hash_of
from pipeline.jobs import TRAIN_ALL

SETTLE_SECONDS = 10.0
"""A file younger than this may still be being copied."""


def new_files(settings: Settings, assets: list[dg.AssetsDefinition]) -> dg.SensorDefinition:
    """Watches the folders of slices, TSV files, playlists and audio; runs what reads changed ones, and all after."""

    @dg.sensor(
        name="new_files",
        job_name=TRAIN_ALL,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Looks for new or changed slices, TSV files, playlists and audio, and runs what depends on them.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        watched = _watched(settings)
        if not watched:
            return dg.SkipReason(f"The demo world has no folder to watch; set {_variables()} to watch real files.")
        if absent := [folder for folder, _ in watched if not folder.exists()]:
            return dg.SkipReason(f"{absent[0]} is not there; create it, or correct the setting that names it.")
        seen = json.loads(context.cursor) if context.cursor else {}
        found = {str(folder): _signatures(folder) for folder, _ in watched}
        if young := _young(found):
            return dg.SkipReason(
                f"{young} changed within the last {SETTLE_SECONDS:.0f} s; waiting until it is complete."
            )
        changed = [(folder, first) for folder, first in watched if found[str(folder)] != seen.get(str(folder), {})]
        if not changed:
            return dg.SkipReason(f"No new or changed file in {', '.join(str(folder) for folder, _ in watched)}.")
        read_by = dg.AssetSelection.assets(*(key for _, first in changed for key in first))
        selection = read_by.downstream() - sensitivity.own_assets(settings)
        request = dg.RunRequest(
            run_key=hash_of([seen, found]),
            asset_selection=sorted(selection.resolve(assets)),
            tags={"changed": ", ".join(folder.name for folder, _ in changed)},
        )
        return dg.SensorResult(run_requests=[request], cursor=json.dumps(found))

    return sensor


def _watched(settings: Settings) -> list[tuple[Path, list[list[str]]]]:
    """Folders, each with the keys of the assets that read it."""
    watched = [(folder, [[name, "source"]]) for name in settings.datasets if (folder := settings.source_dir(name))]
    readers = [name for name in settings.datasets if not DATASETS[name].holds_audio]
    if settings.audio_dir and readers:
        watched.append((settings.audio_dir, [[name, "mp3"] for name in readers]))
    return watched


def _variables() -> str:
    return ", ".join(FOLDER_VARIABLES)


def _signatures(folder: Path) -> dict[str, list[int]]:
    """Size and modification time of every file below `folder` (or of the one zip); names with a leading dot are work in
    progress."""
    if folder.is_file():
        return {folder.name: [folder.stat().st_size, folder.stat().st_mtime_ns]}
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): [path.stat().st_size, path.stat().st_mtime_ns] for path in sorted(files)}


def _young(found: dict[str, dict[str, list[int]]]) -> str | None:
    """A file that was changed too recently to be read, if there is one."""
    since_ns = (time.time() - SETTLE_SECONDS) * 1e9
    recent = (name for files in found.values() for name, (_, changed_ns) in files.items() if changed_ns > since_ns)
    return next(recent, None)
