"""The cold-start split: train, valid and test share no track and no playlist; what is held out has seeds and targets.

Everything is drawn by hashes of ids and the seed. Under `sampled_tracks` a track's or playlist's split depends on
nothing else, so data added later moves nothing. `train_first` is the paper's section 4.1.1 for LFM, where a track
belongs to train as soon as one train user plays it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from larp_core.config import SplitConfig
from larp_core.data.hashing import hash_ids, unit_interval
from larp_core.data.leaks import check_leaks
from larp_core.errors import UserError
from larp_core.files import write_parquet
from larp_core.steps import Job, Report

SPLITS = ("train", "valid", "test")
SPLIT = pl.Enum(SPLITS)
HELD_OUT = ("valid", "test")


def build_split(job: Job) -> Report:
    """Writes the splits of playlists and tracks, and the holdouts.

    Raises:
        UserError: an unknown policy, or a split without a playlist.
    """
    playlists = pl.read_parquet(job.paths.playlists)
    tracks = pl.read_parquet(job.paths.tracks, columns=["track_id", "track_uri"])
    interactions = pl.read_parquet(job.paths.interactions, columns=["playlist_id", "track_id", "position"])
    config = job.recipe.split
    name = config.policy_for(job.dataset)
    if name not in POLICIES:
        raise UserError(f"recipe {job.recipe.name}: unknown split policy '{name}'; choose from {', '.join(POLICIES)}")
    kept = POLICIES[name](playlists, tracks, interactions, config)
    _refuse_empty(kept, job, name)
    holdouts = draw_holdouts(kept, playlists, tracks, config)
    write_parquet(_splits_of(kept, "playlist_id"), job.paths.split_playlists)
    write_parquet(_splits_of(kept, "track_id"), job.paths.split_tracks)
    write_parquet(holdouts, job.paths.holdouts)
    return _report(job, name, playlists, interactions, kept)


def sampled_tracks(
    playlists: pl.DataFrame, tracks: pl.DataFrame, interactions: pl.DataFrame, config: SplitConfig
) -> pl.DataFrame:
    """Playlists and tracks are each split by their own hash; a playlist keeps only its split's tracks.

    Returns:
        The kept interactions `playlist_id, track_id, position, split`, by playlist and position: playlists of at least
        `min_tracks`, valid and test ones cut to their first `max_tracks`.
    """
    playlist_split = assign_splits(playlists["source_id"], config.playlist_fractions, config.seed, "playlist")
    track_split = assign_splits(tracks["track_uri"], config.track_fractions, config.seed, "track")
    split = _codes(playlists["playlist_id"], playlist_split)[interactions["playlist_id"].to_numpy()]
    same = split == _codes(tracks["track_id"], track_split)[interactions["track_id"].to_numpy()]
    kept = interactions.with_columns(_split_column(split)).filter(pl.Series(same))
    kept = _long_enough(kept.sort("playlist_id", "position", "track_id"), config)
    rank = pl.int_range(pl.len()).over("playlist_id")
    return kept.filter((pl.col("split") == "train") | (rank < config.max_tracks))


def train_first(
    playlists: pl.DataFrame, tracks: pl.DataFrame, interactions: pl.DataFrame, config: SplitConfig
) -> pl.DataFrame:
    """Paper, section 4.1.1, for LFM: users are split, train keeps all its tracks, later splits lose earlier ones'.

    Each valid and test user is then cut to one contiguous run of interactions, at least `min_tracks` and fewer than
    `max_tracks` long, its length and start drawn by the user's hash. Returns what `sampled_tracks` returns.
    """
    codes = assign_splits(playlists["source_id"], config.playlist_fractions, config.seed, "playlist")
    split = _codes(playlists["playlist_id"], codes)[interactions["playlist_id"].to_numpy()]
    pending = interactions.with_columns(_split_column(split)).sort("playlist_id", "position", "track_id")
    parts = []
    for name in SPLITS:
        part = _long_enough(pending.filter(pl.col("split") == name), config)
        pending = pending.filter(pl.col("split") != name).join(part, on="track_id", how="anti", maintain_order="left")
        parts.append(part if name == "train" else _contiguous_runs(part, playlists, config))
    return pl.concat(parts).sort("playlist_id", "position", "track_id")


POLICIES: dict[str, Callable[[pl.DataFrame, pl.DataFrame, pl.DataFrame, SplitConfig], pl.DataFrame]] = {
    "sampled_tracks": sampled_tracks,
    "train_first": train_first,
}


def assign_splits(
    ids: pl.Series, fractions: tuple[float, float, float], seed: int, purpose: str
) -> npt.NDArray[np.int8]:
    """Index into `SPLITS` of each id, a function of the id, the fractions and the seed alone."""
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise UserError(f"split.{purpose}_fractions {fractions}: give three shares of at least 0 that sum to 1")
    bounds = np.cumsum(fractions)[:2]
    return np.searchsorted(bounds, unit_interval(hash_ids(ids, seed, purpose)), side="right").astype(np.int8)


def draw_holdouts(
    kept: pl.DataFrame, playlists: pl.DataFrame, tracks: pl.DataFrame, config: SplitConfig
) -> pl.DataFrame:
    """`playlist_id, track_id, role` of valid and test playlists: `round(n * seed_fraction)` seeds, the rest targets.

    Drawn by the hash of playlist and track together, so a playlist's seeds don't depend on any other playlist. Where a
    playlist has two tracks or more it has at least one seed and one target.
    """
    held_out = kept.filter(pl.col("split") != "train").join(
        playlists.select("playlist_id", "source_id"), on="playlist_id"
    )
    held_out = held_out.join(tracks, on="track_id", maintain_order="left")
    ids = held_out.select(pl.concat_str("source_id", "track_uri", separator="\n")).to_series()
    size = pl.len().over("playlist_id")
    num_seeds = (size * config.seed_fraction).round(mode="half_to_even").clip(1, pl.max_horizontal(size - 1, 1))
    return (
        held_out.with_columns(pl.Series("hash", hash_ids(ids, config.seed, "seeds"), dtype=pl.UInt64))
        .sort("playlist_id", "hash", "track_id")
        .with_columns(rank=pl.int_range(pl.len()).over("playlist_id"))
        .with_columns(role=pl.when(pl.col("rank") < num_seeds).then(pl.lit("seed")).otherwise(pl.lit("target")))
        .sort("playlist_id", "position", "track_id")
        .select("playlist_id", "track_id", "role")
    )


def _codes(ids: pl.Series, splits: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Split by id, ids being numbered densely from 0."""
    codes = np.full(len(ids), -1, dtype=np.int8)
    codes[ids.to_numpy()] = splits
    return codes


def _split_column(codes: npt.NDArray[np.int8]) -> pl.Series:
    return pl.Series("split", SPLITS, dtype=SPLIT).gather(pl.Series(codes, dtype=pl.UInt32))


def _long_enough(kept: pl.DataFrame, config: SplitConfig) -> pl.DataFrame:
    return kept.filter(pl.len().over("playlist_id") >= config.min_tracks)


def _contiguous_runs(part: pl.DataFrame, playlists: pl.DataFrame, config: SplitConfig) -> pl.DataFrame:
    sizes = part.group_by("playlist_id", maintain_order=True).agg(size=pl.len())
    ids = sizes.join(playlists, on="playlist_id", maintain_order="left")["source_id"]
    size = sizes["size"].to_numpy().astype(np.int64)
    longest = np.maximum(np.minimum(size, config.max_tracks - 1), config.min_tracks)
    spread = longest - config.min_tracks + 1
    length = config.min_tracks + (unit_interval(hash_ids(ids, config.seed, "run length")) * spread).astype(np.int64)
    start = (unit_interval(hash_ids(ids, config.seed, "run start")) * (size - length + 1)).astype(np.int64)
    runs = sizes.select("playlist_id", start=pl.Series(start), end=pl.Series(start + length))
    rank = pl.int_range(pl.len()).over("playlist_id")
    part = part.with_columns(rank=rank).join(runs, on="playlist_id", maintain_order="left")
    return part.filter((pl.col("rank") >= pl.col("start")) & (pl.col("rank") < pl.col("end"))).drop(
        "rank", "start", "end"
    )


def _splits_of(kept: pl.DataFrame, key: str) -> pl.DataFrame:
    return kept.select(key, pl.col("split").cast(pl.String)).unique(key).sort(key)


def _refuse_empty(kept: pl.DataFrame, job: Job, policy: str) -> None:
    config = job.recipe.split
    for name in SPLITS:
        if not (kept["split"] == name).any():
            fractions = "split.playlist_fractions" + ("" if policy == "train_first" else " and split.track_fractions")
            raise UserError(
                f"{job.dataset}: the split '{policy}' leaves no {name} playlist of {config.min_tracks} tracks or more; "
                f"recipe {job.recipe.name}: lower split.min_tracks, raise {name}'s share in {fractions}, or add data"
            )


def _report(job: Job, policy: str, playlists: pl.DataFrame, interactions: pl.DataFrame, kept: pl.DataFrame) -> Report:
    sizes = kept.group_by("split").agg(
        playlists=pl.col("playlist_id").n_unique(), tracks=pl.col("track_id").n_unique(), interactions=pl.len()
    )
    means = (pl.col("interactions") / pl.col("playlists")).round(2).alias("mean_tracks_per_playlist")
    rows: list[dict[str, Any]] = sizes.sort("split").with_columns(pl.col("split").cast(pl.String), means).to_dicts()
    leaks = check_leaks(job.paths)
    facts = {
        "policy": policy,
        "playlists_dropped": playlists.height - kept["playlist_id"].n_unique(),
        "tracks_dropped": interactions["track_id"].n_unique() - kept["track_id"].n_unique(),
        "interactions_dropped": interactions.height - kept.height,
        "num_twins": leaks.num_twins,
        **{f"num_{row['split']}_playlists": row["playlists"] for row in rows},
        **{f"num_{row['split']}_tracks": row["tracks"] for row in rows},
    }
    tables = {"splits": rows, "twins": [{"track": example} for example in leaks.twin_examples]}
    return Report(num_rows=kept.height, facts=facts, tables=tables)
