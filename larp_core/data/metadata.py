"""Names of tracks, artists and albums for every track of the split, and where each one came from.

`metadata.parquet` has the columns of `tracks.parquet`, null where nothing is known, and for each of `FIELDS` a column
`<field>_from`: the dataset's `origin`, `Spotify`, or null. What the dataset says always stays.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl

from larp_core.config import SpotifyConfig
from larp_core.config.datasets import DATASETS
from larp_core.config.environment import SpotifyCredentials, spotify_credentials
from larp_core.config.paths import DatasetPaths
from larp_core.data.readers.chunk import TRACK_SCHEMA
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import write_parquet
from larp_core.runtime.pacing import Gate
from larp_core.runtime.report import Report

NUM_EXAMPLES = 10
SPOTIFY = "Spotify"
FIELDS = tuple(name for name in TRACK_SCHEMA if name != "track_uri")
FILLED = ("track_name", "artist_name", "album_name", "duration_ms")
"""What Spotify may fill in. Its uris of artists and albums are left out: beside a dataset's own ids they would tell
tracks of one artist apart."""

SPOTIFY_ID = re.compile(r"[0-9A-Za-z]{22}")
LEFT_KEY = "spotify_left"


def build_metadata(
    paths: DatasetPaths, spotify: SpotifyConfig | None = None, answers_dir: Path | None = None
) -> Report:
    """Writes `metadata.parquet`, from the dataset's files and, where it is to be asked, Spotify for what they lack.

    Args:
        spotify: how Spotify is asked; None where it isn't.
        answers_dir: where its answers are kept; needed where it is asked.

    Raises:
        UserError: Spotify is to be asked, and its credentials are missing or refused.
    """
    split = pl.read_parquet(paths.split_tracks, columns=["track_id"])
    tracks = pl.read_parquet(paths.tracks).join(split, on="track_id", how="semi").sort("track_id")
    origin = pl.lit(DATASETS[paths.dataset].origin)
    metadata = tracks.with_columns(_known(name) for name in FIELDS).with_columns(
        pl.when(pl.col(name).is_not_null()).then(origin).alias(f"{name}_from") for name in FIELDS
    )
    facts: dict[str, Any] = {}
    if spotify is not None:
        assert answers_dir is not None
        metadata, facts = _filled(metadata, spotify, answers_dir)
    write_parquet(metadata, paths.metadata, {LEFT_KEY: str(facts.get("spotify_left", 0))})
    facts |= {f"missing_{name}": metadata[name].null_count() for name in FIELDS}
    examples = metadata.head(NUM_EXAMPLES).select("track_uri", "track_name", "artist_name", "album_name", "duration_ms")
    tables = {"where the fields come from": _origins(metadata), "metadata": examples.to_dicts()}
    return Report(num_rows=metadata.height, facts=facts, tables=tables)


def _known(name: str) -> pl.Expr:
    """A field where it says something: no blank name, no length of nothing."""
    value = pl.col(name)
    return pl.when(value > 0 if name == "duration_ms" else value.str.strip_chars() != "").then(value)


def has_tracks_to_look_up(metadata: Path, asks_spotify: bool) -> bool:
    """Whether the last run left tracks that Spotify has yet to be asked for; False where there was none."""
    if not asks_spotify or not metadata.exists():
        return False
    return int(pl.read_parquet_metadata(metadata).get(LEFT_KEY, "0")) > 0


def _filled(metadata: pl.DataFrame, config: SpotifyConfig, folder: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The metadata with what Spotify knows in place of nulls, and what it took."""
    from larp_core.data.spotify.answers import SpotifyAnswers
    from larp_core.data.spotify.client import SpotifyClient
    from larp_core.data.spotify.lookup import Lookup

    lacking = metadata.filter(pl.any_horizontal(pl.col(FILLED).is_null()))["track_uri"]
    wanted = [uri for uri in lacking if SPOTIFY_ID.fullmatch(uri)]
    gate = Gate(
        folder / "spotify.json", config.seconds_between_calls, config.first_pause_seconds, config.max_pause_seconds
    )
    with SpotifyAnswers(folder / "answers.sqlite") as answers:
        lookup = Lookup(SpotifyClient(_credentials(), config), answers, gate, config)
        lookup.ask_for(wanted)
        fields = answers.fields(wanted)
    rows = [{"track_uri": uri} | found for uri, found in fields.items()]
    found = pl.DataFrame(rows, schema={name: TRACK_SCHEMA[name] for name in ("track_uri", *FILLED)})
    joined = metadata.join(found, on="track_uri", how="left", suffix="_found", maintain_order="left")
    filled = joined.with_columns(
        *(pl.coalesce(name, f"{name}_found") for name in FILLED),
        *(
            pl.coalesce(f"{name}_from", pl.when(pl.col(f"{name}_found").is_not_null()).then(pl.lit(SPOTIFY)))
            for name in FILLED
        ),
    )
    facts: dict[str, Any] = {
        "spotify_calls_now": lookup.num_calls,
        "spotify_wanted": len(wanted),
        "spotify_found": len(fields),
        "spotify_left": lookup.num_left,
    }
    if lookup.num_left:
        facts["spotify_left_because"] = lookup.why_left
    return filled.select(metadata.columns), facts


def _credentials() -> SpotifyCredentials:
    credentials = spotify_credentials()
    if credentials is None:
        raise UserError(
            "LARP_SPOTIFY is set, but SPOTIPY_CLIENT_ID or SPOTIPY_CLIENT_SECRET is not, or holds what no id does; "
            "set both in the environment, or unset LARP_SPOTIFY"
        )
    return credentials


def _origins(metadata: pl.DataFrame) -> list[dict[str, Any]]:
    """A row a field: how many tracks have it from where, and how many lack it."""
    rows = []
    for name in FIELDS:
        counts = dict(metadata[f"{name}_from"].value_counts().iter_rows())
        rows.append({"field": name, "missing": counts.pop(None, 0), **dict(sorted(counts.items()))})
    return rows
