"""What captions can say of a clip's sound: tempo, key, mode, loudness, brightness, computed with librosa.

They stand in for the audio features that Spotify's API no longer gives. Each clip is listened to once:
`sound_fields.parquet` keeps the fields by the clip's sha256.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from larp_core.audio.acquire.ledger import OK
from larp_core.audio.clips.report import first_good
from larp_core.audio.decode import read_clip
from larp_core.config import SOUND_FIELDS
from larp_core.config.paths import DatasetPaths
from larp_core.runtime.files import write_parquet
from larp_core.runtime.progress import Progress
from larp_core.runtime.workers import Crashed, map_in_processes

VERSION_KEY, VERSION = "sound_fields", "1"
SCHEMA = {"sha256": pl.String, **dict.fromkeys(SOUND_FIELDS, pl.String)}

CLIP_RATE_HZ, RATE_HZ = 48_000, 22_050
SILENCE_DBFS = -60.0
SAVE_EVERY_CLIPS = 1_000
KEYS = ("C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B")

MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
"""How well each degree of the scale fits a key: Krumhansl and Kessler's probe tone ratings (1982)."""


def build_sound_fields(paths: DatasetPaths) -> pl.DataFrame:
    """`track_id` and `SOUND_FIELDS` as text, a row for each track's first `ok` clip; null where they can't be told."""
    clips = first_good(pl.read_parquet(paths.clips)).filter(pl.col("status") == OK)
    known = _known(paths.sound_fields)
    new = clips.unique("sha256", maintain_order=True).join(known, on="sha256", how="anti")
    items = [(sha256, paths.root / path) for sha256, path in new.select("sha256", "path").iter_rows()]
    with Progress(len(items), "clip", f"{paths.dataset}/captions", "listening") as progress:
        for first in range(0, len(items), SAVE_EVERY_CLIPS):
            rows = []
            some = items[first : first + SAVE_EVERY_CLIPS]
            for (sha256, _), fields in map_in_processes(make_listener, (), some):
                told = {} if isinstance(fields, Crashed) else fields
                rows.append({"sha256": sha256} | told)
                progress.add()
            known = pl.concat([known, pl.DataFrame(rows, schema=SCHEMA)]).sort("sha256")
            write_parquet(known, paths.sound_fields, metadata={VERSION_KEY: VERSION})
    return clips.select("track_id", "sha256").join(known, on="sha256", how="left").drop("sha256")


def make_listener() -> Callable[[tuple[str, Path]], dict[str, str]]:
    """The work of one process; see `map_in_processes`."""
    return lambda item: describe(read_clip(item[1]))


def describe(samples: np.ndarray) -> dict[str, str]:
    """The fields of a clip, mono float32 at 48 kHz; silence has none.

    `tempo`, `key` and `mode`, `loudness` (the mean power in dB of full scale), `brightness` (the spectral centroid).
    Numbers carry their unit: in a caption it must go with them where they can't be told.
    """
    import librosa

    loudness_dbfs = 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-20)
    if loudness_dbfs < SILENCE_DBFS:
        return {}
    sound = librosa.resample(samples, orig_sr=CLIP_RATE_HZ, target_sr=RATE_HZ, res_type="soxr_hq")
    tempo = float(librosa.feature.tempo(y=sound, sr=RATE_HZ)[0])
    centroid_hz = float(librosa.feature.spectral_centroid(y=sound, sr=RATE_HZ).mean())
    key, mode = key_of(librosa.feature.chroma_cqt(y=sound, sr=RATE_HZ).mean(axis=1))
    return {
        "tempo": f"{tempo:.0f} BPM",
        "key": key,
        "mode": mode,
        "loudness": f"{loudness_dbfs:.0f} dB",
        "brightness": f"{round(centroid_hz, -1):.0f} Hz",
    }


def key_of(chroma: np.ndarray) -> tuple[str, str]:
    """Key and mode whose profile correlates best with the energy of the twelve pitch classes, [12] from C."""
    fits = {
        (key, mode): np.corrcoef(np.roll(profile, shift), chroma)[0, 1]
        for mode, profile in (("major", MAJOR), ("minor", MINOR))
        for shift, key in enumerate(KEYS)
    }
    return max(fits, key=lambda name: fits[name])


def _known(path: Path) -> pl.DataFrame:
    if not path.exists() or pl.read_parquet_metadata(path).get(VERSION_KEY) != VERSION:
        return pl.DataFrame(schema=SCHEMA)
    return pl.read_parquet(path)
