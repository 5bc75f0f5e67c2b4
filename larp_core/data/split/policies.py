"""The named ways to split playlists and tracks into train, valid and test, so that no track and no playlist is in two.

Everything is drawn by hashes of ids and the seed. Where a side is a function of the id alone, data added later moves
nothing. Where it hangs on other playlists (`train_first`) or on a playlist's contents (`paper_lists`), the sides once
taken are remembered, see `larp_core.data.split.memory`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from larp_core.config import SplitConfig
from larp_core.data.split.memory import Memory, nothing
from larp_core.data.titles import album_key, artist_key
from larp_core.runtime.errors import UserError
from larp_core.runtime.hashing import hash_ids, unit_interval

SPLITS = ("train", "valid", "test")
SPLIT = pl.Enum(SPLITS)
TRAIN, VALID, TEST = range(3)
NOWHERE = -1

Codes = npt.NDArray[np.int8]
"""Indices into `SPLITS`, -1 for none."""


@dataclass(frozen=True)
class Tables:
    """What a policy splits.

    Attributes:
        playlists: `playlist_id, source_id`.
        tracks: `track_id, track_uri` and the policy's own columns.
        interactions: `playlist_id, track_id, position`.
        memory: sides taken in earlier runs.
        lists: `track_uri, split` of the authors' valid and test tracks; for `paper_lists` alone.
    """

    playlists: pl.DataFrame
    tracks: pl.DataFrame
    interactions: pl.DataFrame
    memory: Memory = field(default_factory=nothing)
    lists: pl.DataFrame | None = None


def sampled_tracks(tables: Tables, config: SplitConfig, min_train_tracks: int | None = None) -> pl.DataFrame:
    """Playlists and tracks are each split by their own hash; a playlist keeps only its split's tracks.

    Args:
        min_train_tracks: train playlists with fewer tracks are dropped; `config.min_tracks` where not given.

    Returns:
        The kept interactions `playlist_id, track_id, position, split`, by playlist and position: playlists of at least
        `min_tracks`, valid and test ones cut to their first `max_tracks`.
    """
    tracks = assign_splits(tables.tracks["track_uri"], config.track_fractions, config.seed, "track")
    return _by_own_hash(tables, config, tracks, min_train_tracks)


def artist_cold(tables: Tables, config: SplitConfig) -> pl.DataFrame:
    """As `sampled_tracks`, with all tracks of an artist on the side that the artist's hash names."""
    artists = tables.tracks.select(artist_key()).to_series()
    return _by_own_hash(tables, config, assign_splits(artists, config.track_fractions, config.seed, "artist"))


def album_cold(tables: Tables, config: SplitConfig) -> pl.DataFrame:
    """As `sampled_tracks`, with all tracks of an album on the side that the album's hash names."""
    albums = tables.tracks.select(album_key()).to_series()
    return _by_own_hash(tables, config, assign_splits(albums, config.track_fractions, config.seed, "album"))


def train_first(tables: Tables, config: SplitConfig, min_train_tracks: int | None = None) -> pl.DataFrame:
    """The paper's section 4.1.1 for LFM: users are split, train keeps all its tracks, later splits lose earlier ones'.

    Each valid and test user is then cut to one contiguous run of interactions, at least `min_tracks` and fewer than
    `max_tracks` long, its length and start drawn by the user's hash. (The paper cuts the test users and is silent on
    validation; ours are cut alike, so that models are chosen on playlists like those they are tested on.)

    What is remembered comes first: a valid or test playlist stays as it was cut, and a track that was given to one
    split is taken out of the playlists of the others, train included. Returns what `sampled_tracks` returns.
    """
    codes = assign_splits(tables.playlists["source_id"], config.playlist_fractions, config.seed, "playlist")
    split = _by_id(tables.playlists["playlist_id"], codes)[tables.interactions["playlist_id"].to_numpy()]
    pending = tables.interactions.with_columns(_split_column(split)).sort("playlist_id", "position", "track_id")
    pending = _without_promised_elsewhere(pending, tables)
    parts = []
    for name in SPLITS:
        part = drop_short(pending.filter(pl.col("split") == name), config, min_train_tracks)
        pending = pending.filter(pl.col("split") != name).join(part, on="track_id", how="anti", maintain_order="left")
        parts.append(part if name == "train" else _as_cut_before(part, tables, config))
    return pl.concat(parts).sort("playlist_id", "position", "track_id")


def paper_lists(tables: Tables, config: SplitConfig) -> pl.DataFrame:
    """Valid and test tracks are exactly the authors' published ones; train has the share `track_fractions[0]` of the
    others, by their hash.

    The lists name no playlists. A playlist is a test one where it holds `min_tracks` or more of the test list, a valid
    one where it holds as many of the valid list (and more than of the test list), else a train one of whatever length;
    held-out ones are cut to their first `max_tracks`. A remembered playlist stays on its side when it grows. Returns
    what `sampled_tracks` returns.
    """
    if tables.lists is None:
        raise ValueError("paper_lists needs the authors' lists")
    tracks = assign_splits(tables.tracks["track_uri"], config.track_fractions, config.seed, "track")
    tracks = np.where(tracks == TRAIN, TRAIN, NOWHERE).astype(np.int8)
    listed = _codes_of(tables.tracks.select("track_uri"), tables.lists)
    tracks = np.where(listed == NOWHERE, tracks, listed).astype(np.int8)
    interactions = _in_order(tables.interactions)
    track_split = _by_id(tables.tracks["track_id"], tracks)[interactions["track_id"].to_numpy()]
    owners = interactions["playlist_id"].to_numpy()
    num_ids = int(tables.playlists["playlist_id"].max() or 0) + 1  # type: ignore[arg-type]
    num_valid, num_test = (np.bincount(owners[track_split == side], minlength=num_ids) for side in (VALID, TEST))
    sides = np.where(num_valid >= config.min_tracks, VALID, TRAIN)
    sides = np.where((num_test >= config.min_tracks) & (num_test >= num_valid), TEST, sides)
    promised = _codes_of(tables.playlists.select("source_id"), tables.memory.playlists)
    promised = _by_id(tables.playlists["playlist_id"], promised)
    playlists = np.where(promised == NOWHERE, sides[: len(promised)], promised).astype(np.int8)
    return _kept_on_both_sides(interactions, playlists[owners], track_split, config, min_train_tracks=1)


@dataclass(frozen=True)
class Policy:
    """A way to split.

    Attributes:
        keep: the kept interactions of the tables.
        track_columns: what it reads of a track besides id and uri.
        remembers: whether sides once taken are carried over to the next run.
        needs_lists: whether it reads the authors' lists.
        shares: the settings of `SplitConfig` that give each split its share.
    """

    keep: Callable[[Tables, SplitConfig], pl.DataFrame]
    track_columns: tuple[str, ...] = ()
    remembers: bool = False
    needs_lists: bool = False
    shares: tuple[str, ...] = ("playlist_fractions", "track_fractions")


# The paper's lower bound is about held-out playlists alone: what is left of a train playlist is used, however short.
PAPER = Policy(lambda tables, config: sampled_tracks(tables, config, min_train_tracks=1))
PAPER_LFM = Policy(
    lambda tables, config: train_first(tables, config, min_train_tracks=1),
    remembers=True,
    shares=("playlist_fractions",),
)
POLICIES = {
    "paper": PAPER,
    "sampled_tracks": Policy(sampled_tracks),
    "train_first": Policy(train_first, remembers=True, shares=("playlist_fractions",)),
    "artist_cold": Policy(artist_cold, ("artist_uri", "artist_name")),
    "album_cold": Policy(album_cold, ("artist_name", "album_uri", "album_name")),
    "paper_lists": Policy(paper_lists, remembers=True, needs_lists=True, shares=()),
}


def policy_named(name: str, dataset: str) -> Policy:
    """`paper` is the sampled tracks of MPD (and of the user's own playlists), or the users' steps of LFM.

    Raises:
        UserError: there is no such policy.
    """
    if name not in POLICIES:
        raise UserError(f"unknown split policy '{name}'; choose from {', '.join(POLICIES)}")
    return PAPER_LFM if (name, dataset) == ("paper", "lfm") else POLICIES[name]


def assign_splits(ids: pl.Series, fractions: tuple[float, float, float], seed: int, purpose: str) -> Codes:
    """Index into `SPLITS` of each id, a function of the id, the fractions and the seed alone."""
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise UserError(
            f"split fractions {fractions} of a {purpose}: give three shares of at least 0 that sum to 1 "
            "(split.playlist_fractions, split.track_fractions)"
        )
    bounds = np.cumsum(fractions)[:2]
    return np.searchsorted(bounds, unit_interval(hash_ids(ids, seed, purpose)), side="right").astype(np.int8)


def _by_own_hash(
    tables: Tables, config: SplitConfig, track_codes: Codes, min_train_tracks: int | None = None
) -> pl.DataFrame:
    """Playlists by their hash, tracks as given [num_tracks]."""
    codes = assign_splits(tables.playlists["source_id"], config.playlist_fractions, config.seed, "playlist")
    interactions = _in_order(tables.interactions)
    playlist_split = _by_id(tables.playlists["playlist_id"], codes)[interactions["playlist_id"].to_numpy()]
    track_split = _by_id(tables.tracks["track_id"], track_codes)[interactions["track_id"].to_numpy()]
    return _kept_on_both_sides(interactions, playlist_split, track_split, config, min_train_tracks)


def _kept_on_both_sides(
    interactions: pl.DataFrame,
    playlist_split: Codes,
    track_split: Codes,
    config: SplitConfig,
    min_train_tracks: int | None,
) -> pl.DataFrame:
    """Interactions whose playlist and track are of one split, long enough, held-out ones cut to `max_tracks`."""
    same = playlist_split == track_split
    kept = interactions.filter(pl.Series(same)).with_columns(_split_column(playlist_split[same]))
    kept = drop_short(kept, config, min_train_tracks)
    return kept.filter((pl.col("split") == "train") | pl.Series(_ranks(kept) < config.max_tracks))


def _in_order(interactions: pl.DataFrame) -> pl.DataFrame:
    """By playlist and position. The readers write them so, and then nothing is sorted."""
    playlists, positions = interactions["playlist_id"].to_numpy(), interactions["position"].to_numpy()
    later = playlists[1:] > playlists[:-1]
    later |= (playlists[1:] == playlists[:-1]) & (positions[1:] > positions[:-1])
    return interactions if later.all() else interactions.sort("playlist_id", "position", "track_id")


def _by_id(ids: pl.Series, values: Codes) -> Codes:
    """`values` by id, -1 for numbers that are no id."""
    table = np.full(int(ids.max() or 0) + 1, NOWHERE, dtype=np.int8)  # type: ignore[arg-type]
    table[ids.to_numpy()] = values
    return table


def _codes_of(names: pl.DataFrame, sides: pl.DataFrame) -> Codes:
    """The code of each name (one column) by a table of that column and `split`."""
    sides = sides.select(names.columns[0], pl.col("split").cast(SPLIT).to_physical().cast(pl.Int8))
    joined = names.join(sides, on=names.columns[0], how="left", maintain_order="left")
    return joined["split"].fill_null(NOWHERE).to_numpy()


def _split_column(codes: Codes) -> pl.Series:
    return pl.Series("split", codes.view(np.uint8)).cat.to(SPLIT)


def drop_short(kept: pl.DataFrame, config: SplitConfig, min_train_tracks: int | None = None) -> pl.DataFrame:
    """Without playlists of fewer than `min_tracks` kept tracks, or `min_train_tracks` in train where given."""
    if kept.is_empty():
        return kept
    playlists = kept["playlist_id"].to_numpy()
    sizes = np.bincount(playlists)[playlists]
    least = config.min_tracks if min_train_tracks is None else min_train_tracks
    is_train = (kept["split"] == "train").to_numpy()
    return kept.filter(pl.Series(sizes >= np.where(is_train, least, config.min_tracks)))


def _ranks(kept: pl.DataFrame) -> npt.NDArray[np.int64]:
    """The place of each row in its playlist, from 0; the rows of a playlist stand together."""
    rows = np.arange(kept.height)
    is_first = np.diff(kept["playlist_id"].to_numpy(), prepend=NOWHERE) != 0
    return rows - np.maximum.accumulate(np.where(is_first, rows, 0))


def _without_promised_elsewhere(pending: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    promised = _by_id(tables.tracks["track_id"], _codes_of(tables.tracks.select("track_uri"), tables.memory.tracks))
    side = promised[pending["track_id"].to_numpy()]
    return pending.filter(pl.Series((side == NOWHERE) | (side == pending["split"].to_physical().to_numpy())))


def _as_cut_before(part: pl.DataFrame, tables: Tables, config: SplitConfig) -> pl.DataFrame:
    """Remembered playlists as they were cut, the others cut to a run now."""
    pairs = tables.memory.held_out.join(tables.playlists, on="source_id").join(tables.tracks, on="track_uri")
    known = part.join(pairs, on="playlist_id", how="semi", maintain_order="left")
    known = known.join(pairs, on=["playlist_id", "track_id"], how="semi", maintain_order="left")
    new = part.join(pairs, on="playlist_id", how="anti", maintain_order="left")
    return pl.concat([drop_short(known, config), _contiguous_runs(new, tables.playlists, config)])


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
