"""Proof that a split leaks nothing: no track, no playlist in two splits, and holdouts that belong to their playlist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

from larp_core.config.paths import DatasetPaths
from larp_core.data.split.twins import count_songs, find_twins
from larp_core.data.split.twins import examples as songs_of

TwinRule = Literal["report", "exclude"]
NUM_EXAMPLES = 5


@dataclass(frozen=True)
class LeakReport:
    """What crosses the border between splits.

    Attributes:
        num_shared_tracks, num_shared_playlists: ids, uris or source ids that stand in more than one split.
        num_foreign_holdouts: held-out tracks of another split than their playlist, of train playlists, without an
            interaction, or both seed and target.
        examples: a line for some of them.
        num_twins: pairs of artist and normalised title that stand in more than one split under different uris: other
            pressings of a song.
        twins: `report` lets them be, under `exclude` the split has taken them out and one that is there is a leak.
    """

    num_shared_tracks: int
    num_shared_playlists: int
    num_foreign_holdouts: int
    examples: tuple[str, ...]
    num_twins: int
    twin_examples: tuple[str, ...]
    twins: TwinRule = "report"

    @property
    def is_clean(self) -> bool:
        forbidden_twins = self.num_twins if self.twins == "exclude" else 0
        return self.num_shared_tracks + self.num_shared_playlists + self.num_foreign_holdouts + forbidden_twins == 0


def check_leaks(paths: DatasetPaths, twins: TwinRule = "report") -> LeakReport:
    """`find_leaks` on what lies on disk."""
    names = pl.read_parquet(paths.tracks, columns=["track_id", "track_uri", "track_name", "artist_name"])
    source_ids = pl.read_parquet(paths.playlists, columns=["playlist_id", "source_id"])
    return find_leaks(
        playlists=pl.read_parquet(paths.split_playlists).join(source_ids, on="playlist_id", how="left"),
        tracks=pl.read_parquet(paths.split_tracks).join(names, on="track_id", how="left"),
        interactions=pl.read_parquet(paths.interactions, columns=["playlist_id", "track_id"]),
        holdouts=pl.read_parquet(paths.holdouts),
        twins=twins,
    )


def find_leaks(
    playlists: pl.DataFrame,
    tracks: pl.DataFrame,
    interactions: pl.DataFrame,
    holdouts: pl.DataFrame,
    twins: TwinRule = "report",
) -> LeakReport:
    """Looks for leaks.

    Args:
        playlists: `playlist_id, split, source_id`.
        tracks: `track_id, split, track_uri, track_name, artist_name`.
        interactions: `playlist_id, track_id`.
        holdouts: `playlist_id, track_id, role`.
        twins: under `exclude` a twin is a leak like any other.
    """
    shared_tracks = _in_two_splits(tracks, "track_id", "track_uri")
    shared_playlists = _in_two_splits(playlists, "playlist_id", "source_id")
    foreign = _foreign_holdouts(playlists, tracks, interactions, holdouts)
    crossing = find_twins(tracks)
    twin_examples = songs_of(crossing, NUM_EXAMPLES)
    examples = (
        [f"track {value} is in more than one split" for value in shared_tracks[:NUM_EXAMPLES]]
        + [f"playlist {value} is in more than one split" for value in shared_playlists[:NUM_EXAMPLES]]
        + [
            f"held-out track {track} is foreign to playlist {playlist}"
            for playlist, track in foreign[:NUM_EXAMPLES].rows()
        ]
        + [f"{song} is in more than one split under different uris" for song in twin_examples if twins == "exclude"]
    )
    return LeakReport(
        num_shared_tracks=len(shared_tracks),
        num_shared_playlists=len(shared_playlists),
        num_foreign_holdouts=foreign.height,
        examples=tuple(examples),
        num_twins=count_songs(crossing),
        twin_examples=tuple(twin_examples),
        twins=twins,
    )


def _in_two_splits(frame: pl.DataFrame, key: str, name: str) -> list[object]:
    """The names of the rows whose key, or whose name, stands in more than one split."""
    repeated = frame.filter(pl.col(key).is_duplicated() | pl.col(name).is_duplicated())
    crosses = [pl.col("split").n_unique().over(column) > 1 for column in (key, name)]
    return repeated.filter(crosses[0] | crosses[1])[name].unique().sort().to_list()


def _foreign_holdouts(
    playlists: pl.DataFrame, tracks: pl.DataFrame, interactions: pl.DataFrame, holdouts: pl.DataFrame
) -> pl.DataFrame:
    pair = ["playlist_id", "track_id"]
    there = interactions.join(holdouts, on="playlist_id", how="semi").unique(pair)
    known = holdouts.join(there.with_columns(is_known=True), on=pair, how="left")
    known = known.join(
        playlists.unique("playlist_id").select("playlist_id", playlist_split="split"), on="playlist_id", how="left"
    )
    known = known.join(tracks.unique("track_id").select("track_id", track_split="split"), on="track_id", how="left")
    fine = (
        pl.col("is_known").is_not_null()
        & (pl.col("playlist_split") == pl.col("track_split"))
        & (pl.col("playlist_split") != "train")
        & pl.col("role").is_in(["seed", "target"])
        & (pl.len().over(pair) == 1)
    )
    return known.filter(~fine.fill_null(False)).select(pair).unique().sort(pair)
