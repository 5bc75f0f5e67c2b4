"""What a run costs that has nothing to get: 10,000 tracks in the store, in the user's own folder, or refused before.

`python benchmarks/acquire_again.py [number of tracks]`. Bounds are per 10,000 tracks. A file system's own speed shows
beside it: one look at every file, which is what must not happen on a network disk.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from larp_core.audio.acquire import attempt
from larp_core.audio.acquire.acquisition import acquire_audio
from larp_core.audio.acquire.ledger import Entry, Ledger, has_audio_to_get, refusal
from larp_core.audio.names import track_file
from larp_core.config.recipes import recipe_named
from larp_core.config.settings import Settings
from larp_core.graph import memo
from larp_core.graph.job import Job
from larp_core.graph.registry import job_named
from larp_core.runtime.files import write_json

BOUND_SECONDS = 1.0
TWIN = "one look at every file"


STORED, OWN, REFUSED = "in the store", "in LARP_AUDIO_DIR", "refused by their URLs"


def make_job(folder: Path, num_tracks: int, place: str) -> Job:
    """A finished acquisition: empty files, and a ledger that says all of them are audio; or one of refusals."""
    is_own_folder = place == OWN
    data_dir, music = folder / "data", folder / "music"
    settings = Settings(data_dir, recipe_named("demo"), ("mpd",), folder, audio_dir=music if is_own_folder else None)
    uris = [f"{number * 7919:022d}"[::-1] for number in range(num_tracks)]
    if not is_own_folder:
        rows = [f"{uri},{url_of(uri)}" for uri in (uris if place == REFUSED else ["none"])]
        (folder / "urls.csv").write_text("\n".join(["track_uri,url", *rows]))
        settings = Settings(data_dir, settings.recipe, ("mpd",), folder, audio_urls=folder / "urls.csv")
    job = job_named("mp3", settings, "mpd")
    ids = pl.Series("track_id", range(num_tracks), dtype=pl.Int32)
    names = {"track_uri": uris, "track_name": uris, "artist_name": uris}
    job.paths.split_tracks.parent.mkdir(parents=True)
    frame = pl.DataFrame([ids]).with_columns(
        *(pl.Series(name, values) for name, values in names.items()), duration_ms=pl.lit(200_000, pl.Int32)
    )
    frame.write_parquet(job.paths.tracks)
    frame.write_parquet(job.paths.metadata)
    frame.select("track_id", split=pl.lit("train")).write_parquet(job.paths.split_tracks)
    ledger = Ledger(job.paths.ledger)
    looked_at = datetime.now(UTC) + timedelta(seconds=60)
    for track_id, uri in enumerate(uris):
        if place == REFUSED:
            said = f"urls={refusal('removed', url_of(uri))}"
            ledger.entries[uri] = Entry(
                track_id, uri, "removed", "urls", None, None, None, None, 1, looked_at, "", said
            )
            continue
        file = track_file(music if is_own_folder else settings.shared.audio, uri, ".mp3")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        source = "folder" if is_own_folder else "urls"
        path = attempt.ledger_path(file, data_dir)
        entry = Entry(track_id, uri, "ok", source, path, "00", 200.0, "libsndfile", 1, looked_at)
        ledger.entries[uri] = entry
    ledger.save()
    for parent in job.upstream():
        write_json({"digest": "made before"}, parent.stamp)
    return job


def url_of(uri: str) -> str:
    return f"https://example.org/{uri}.mp3"


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def seconds_of(job: Job) -> dict[str, float]:
    """The figures with a bound, and the slow twin."""

    def run() -> None:
        assert acquire_audio(job.settings, job.dataset).facts["looked_up_now"] == 0

    def look_at_each() -> None:
        paths = pl.read_parquet(job.paths.ledger)["path"].drop_nulls()
        assert all((job.settings.data_dir / path).exists() for path in paths)

    figures = {
        "is there anything to get": timed(lambda: has_audio_to_get(job.paths.ledger, job.settings.data_dir)),
        "the step itself": timed(run),
    }
    assert not memo.run(job).reused
    figures["a re-run of the finished step"] = timed(lambda: memo.run(job))
    return figures | {TWIN: timed(look_at_each)}


def main() -> int:
    num_tracks = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    bound = BOUND_SECONDS * num_tracks / 10_000
    worst = 0.0
    for place in (STORED, OWN, REFUSED):
        with tempfile.TemporaryDirectory() as folder:
            figures = seconds_of(make_job(Path(folder), num_tracks, place))
        for name, seconds in figures.items():
            required = "for comparison" if name == TWIN else f"at most {bound:.1f}"
            print(f"{num_tracks:,} tracks {place}, {name}: {seconds:.3f} s ({required})")
        worst = max(worst, *(seconds for name, seconds in figures.items() if name != TWIN))
    return int(worst > bound)


if __name__ == "__main__":
    sys.exit(main())
