"""The cold-start split: train, valid and test share no track and no playlist; what is held out has seeds and targets.

The policies stand in `larp_core.data.split.policies`. Most are functions of ids and the seed; those that remember (see
`larp_core.data.split.memory`) depend on earlier runs too: built from nothing they give the same bytes every time, but
data added in two steps may split otherwise than the same data at once. The report says how much was remembered.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from larp_core.config import SplitConfig
from larp_core.config.paths import DatasetPaths
from larp_core.data.split import memory as split_memory
from larp_core.data.split import paper_lists, twins
from larp_core.data.split.policies import SPLITS, Policy, Tables, drop_short, policy_named
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import hash_file, hash_of, write_parquet
from larp_core.runtime.hashing import hash_ids
from larp_core.runtime.report import Report

NUM_EXAMPLES = 5
NO_SIDE = ("seed_fraction", "twins")
"""Settings of a split that give no track and no playlist another side."""


def build_split(paths: DatasetPaths, config: SplitConfig, lists_dir: Path | None = None) -> Report:
    """Writes the splits of playlists and tracks, and the holdouts.

    Args:
        lists_dir: the authors' published lists, for the policy that goes by them.

    Raises:
        UserError: a split without a playlist, or lists that are needed and can't be read.
    """
    policy = policy_named(config.policy_for(paths.dataset), paths.dataset)
    lists_dir = _lists_for(policy, lists_dir)
    fingerprint = _fingerprint(config, paths.dataset, lists_dir)
    memory = split_memory.recall(paths.split_memory, fingerprint) if policy.remembers else split_memory.nothing()
    tables = _read_tables(paths, policy, memory, lists_dir)
    kept = promised = policy.keep(tables, config)
    tracks = _splits_of(kept, "track_id", extra=_listed_tracks(tables))
    crossing = twins.find_twins(_with_names(tracks, paths))
    num_twins = twins.count_songs(crossing)
    if config.twins == "exclude":
        kept, tracks = _without_twins(kept, tracks, twins.superfluous(crossing), config)
    _refuse_empty(kept, config, paths.dataset)
    write_parquet(_splits_of(kept, "playlist_id"), paths.split_playlists)
    write_parquet(tracks, paths.split_tracks)
    write_parquet(draw_holdouts(kept, tables.playlists, tables.tracks, config), paths.holdouts)
    if policy.remembers:  # twins included: those come and go with other tracks, sides don't
        named = promised.join(tables.playlists, on="playlist_id").join(tables.tracks, on="track_id")
        split_memory.remember(paths.split_memory, fingerprint, split_memory.add(memory, named))
    return _report(config, paths.dataset, tables, kept, tracks, num_twins, twins.examples(crossing, NUM_EXAMPLES))


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
    held_out = held_out.join(tracks.select("track_id", "track_uri"), on="track_id", maintain_order="left")
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


def _lists_for(policy: Policy, lists_dir: Path | None) -> Path | None:
    """The folder of the authors' lists where the policy goes by them, else None."""
    if policy.needs_lists and lists_dir is None:
        raise UserError(
            "the recipe's split.policy 'paper_lists' reads the authors' lists; set LARP_PAPER_LISTS_DIR to the folder "
            "that holds them"
        )
    return lists_dir if policy.needs_lists else None


def _fingerprint(config: SplitConfig, dataset: str, lists_dir: Path | None) -> str:
    """All that the sides depend on but the data: under another fingerprint nothing is remembered."""
    settings = {name: value for name, value in asdict(config).items() if name not in (*NO_SIDE, "policy")}
    lists = [hash_file(path) for path in paper_lists.list_files(lists_dir, dataset)] if lists_dir else []
    return hash_of([config.policy_for(dataset), settings, lists])


def _read_tables(paths: DatasetPaths, policy: Policy, memory: split_memory.Memory, lists_dir: Path | None) -> Tables:
    return Tables(
        playlists=pl.read_parquet(paths.playlists, columns=["playlist_id", "source_id"]),
        tracks=pl.read_parquet(paths.tracks, columns=["track_id", "track_uri", *policy.track_columns]),
        interactions=pl.read_parquet(paths.interactions, columns=["playlist_id", "track_id", "position"]),
        memory=memory,
        lists=paper_lists.load_paper_lists(lists_dir, paths.dataset) if lists_dir else None,
    )


def _listed_tracks(tables: Tables) -> pl.DataFrame | None:
    """`track_id, split`: a listed track is in its split though no kept playlist holds it."""
    if tables.lists is None:
        return None
    return tables.tracks.join(tables.lists, on="track_uri").select("track_id", "split")


def _with_names(tracks: pl.DataFrame, paths: DatasetPaths) -> pl.DataFrame:
    names = pl.scan_parquet(paths.tracks).select("track_id", "track_name", "artist_name")
    return tracks.lazy().join(names, on="track_id").collect()


def _without_twins(
    kept: pl.DataFrame, tracks: pl.DataFrame, superfluous: pl.Series, config: SplitConfig
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Valid and test lose twins, and the playlists that are then too short; train loses nothing."""
    gone = superfluous.implode()
    kept = drop_short(kept.filter(~pl.col("track_id").is_in(gone)), config, min_train_tracks=1)
    return kept, tracks.filter(~pl.col("track_id").is_in(gone))


def _splits_of(kept: pl.DataFrame, key: str, extra: pl.DataFrame | None = None) -> pl.DataFrame:
    """`key, split` of all that is kept, ascending; `extra` rows of the same columns are added."""
    codes = np.full(int(kept[key].max() or 0) + 1, -1, dtype=np.int8)  # type: ignore[arg-type]
    codes[kept[key].to_numpy()] = kept["split"].to_physical().to_numpy()
    ids = np.flatnonzero(codes >= 0)
    sides = pl.Series("split", SPLITS).gather(pl.Series(codes[ids], dtype=pl.UInt32))
    frame = pl.DataFrame({key: pl.Series(ids, dtype=kept.schema[key]), "split": sides})
    return frame if extra is None else pl.concat([frame, extra]).unique(key, keep="first").sort(key)


def _refuse_empty(kept: pl.DataFrame, config: SplitConfig, dataset: str) -> None:
    shares = " and ".join(f"split.{name}" for name in policy_named(config.policy_for(dataset), dataset).shares)
    for name in SPLITS:
        if not (kept["split"] == name).any():
            hint = f"raise {name}'s share in {shares}, " if shares else ""
            raise UserError(
                f"{dataset}: the split '{config.policy_for(dataset)}' leaves no {name} playlist of "
                f"{config.min_tracks} tracks or more; in the recipe, lower split.min_tracks, "
                f"{hint}or add data"
            )


def _report(
    config: SplitConfig,
    dataset: str,
    tables: Tables,
    kept: pl.DataFrame,
    tracks: pl.DataFrame,
    num_twins: int,
    twin_examples: list[str],
) -> Report:
    sizes = kept.group_by("split").agg(
        playlists=pl.col("playlist_id").n_unique(), tracks=pl.col("track_id").n_unique(), interactions=pl.len()
    )
    means = (pl.col("interactions") / pl.col("playlists")).round(2).alias("mean_tracks_per_playlist")
    rows: list[dict[str, Any]] = sizes.sort("split").with_columns(pl.col("split").cast(pl.String), means).to_dicts()
    interactions = tables.interactions
    facts = {
        "policy": config.policy_for(dataset),
        "playlists_dropped": tables.playlists.height - sum(row["playlists"] for row in rows),
        "tracks_dropped": interactions["track_id"].n_unique() - tracks.height,
        "interactions_dropped": interactions.height - kept.height,
        "twin_rule": config.twins,
        "num_twins": num_twins,
        **{f"num_{row['split']}_playlists": row["playlists"] for row in rows},
        **{f"num_{row['split']}_tracks": row["tracks"] for row in rows},
    }
    if policy_named(config.policy_for(dataset), dataset).remembers:
        facts["depends_on_earlier_runs"] = not tables.memory.rows.is_empty()
        facts["remembered_playlists"] = tables.memory.playlists.height
        facts["remembered_tracks"] = tables.memory.tracks.height
    report_tables = {"splits": rows, "twins": [{"track": example} for example in twin_examples]}
    if tables.lists is not None:
        played = kept.filter(pl.col("split") != "train").join(tables.tracks, on="track_id")
        report_tables["paper lists"] = paper_lists.coverage(tables.lists, tables.tracks["track_uri"], played)
    return Report(num_rows=kept.height, facts=facts, tables=report_tables)
