"""Proof that a split leaks nothing: no track, no playlist in two splits, and holdouts that belong to their playlist."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from larp_core.paths import DatasetPaths

NUM_EXAMPLES = 5


@dataclass(frozen=True)
class LeakReport:
    """What crosses the border between splits.

    Attributes:
        num_shared_tracks, num_shared_playlists: ids, uris or source ids that stand in more than one split.
        num_foreign_holdouts: held-out tracks of another split than their playlist, of train playlists, without an
            interaction, or both seed and target.
        examples: a line for some of them.
        num_twins: pairs of artist and normalised title that stand in more than one split under different uris. Other
            pressings of a song: reported, not an error.
    """

    num_shared_tracks: int
    num_shared_playlists: int
    num_foreign_holdouts: int
    examples: tuple[str, ...]
    num_twins: int
    twin_examples: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        return self.num_shared_tracks + self.num_shared_playlists + self.num_foreign_holdouts == 0


def check_leaks(paths: DatasetPaths) -> LeakReport:
    """`find_leaks` on what lies on disk."""
    names = pl.read_parquet(paths.tracks, columns=["track_id", "track_uri", "track_name", "artist_name"])
    source_ids = pl.read_parquet(paths.playlists, columns=["playlist_id", "source_id"])
    return find_leaks(
        playlists=pl.read_parquet(paths.split_playlists).join(source_ids, on="playlist_id", how="left"),
        tracks=pl.read_parquet(paths.split_tracks).join(names, on="track_id", how="left"),
        interactions=pl.read_parquet(paths.interactions, columns=["playlist_id", "track_id"]),
        holdouts=pl.read_parquet(paths.holdouts),
    )


def find_leaks(
    playlists: pl.DataFrame, tracks: pl.DataFrame, interactions: pl.DataFrame, holdouts: pl.DataFrame
) -> LeakReport:
    """Looks for leaks.

    Args:
        playlists: `playlist_id, split, source_id`.
        tracks: `track_id, split, track_uri, track_name, artist_name`.
        interactions: `playlist_id, track_id`.
        holdouts: `playlist_id, track_id, role`.
    """
    shared_tracks = _in_two_splits(tracks, "track_id", "track_uri")
    shared_playlists = _in_two_splits(playlists, "playlist_id", "source_id")
    foreign = _foreign_holdouts(playlists, tracks, interactions, holdouts)
    twins = _twins(tracks)
    examples = (
        [f"track {value} is in more than one split" for value in shared_tracks[:NUM_EXAMPLES]]
        + [f"playlist {value} is in more than one split" for value in shared_playlists[:NUM_EXAMPLES]]
        + [
            f"held-out track {track} is foreign to playlist {playlist}"
            for playlist, track in foreign[:NUM_EXAMPLES].rows()
        ]
    )
    return LeakReport(
        num_shared_tracks=len(shared_tracks),
        num_shared_playlists=len(shared_playlists),
        num_foreign_holdouts=foreign.height,
        examples=tuple(examples),
        num_twins=twins.height,
        twin_examples=tuple(f"{artist}: {title}" for artist, title in twins.head(NUM_EXAMPLES).rows()),
    )


def normalised_title() -> pl.Expr:
    """Lower case, without brackets' content, what follows " - " (remasters, live, edits), and punctuation."""
    bare = pl.col("track_name").str.to_lowercase().str.replace_all(r"[\(\[].*?[\)\]]", " ").str.replace(r" - .*$", "")
    return bare.str.replace_all(r"[^\pL\pN]+", " ").str.strip_chars()


def _in_two_splits(frame: pl.DataFrame, key: str, name: str) -> list[object]:
    """The names of the rows whose key, or whose name, stands in more than one split."""
    crosses = [pl.col("split").n_unique().over(column) > 1 for column in (key, name)]
    return frame.filter(crosses[0] | crosses[1])[name].unique().sort().to_list()


def _foreign_holdouts(
    playlists: pl.DataFrame, tracks: pl.DataFrame, interactions: pl.DataFrame, holdouts: pl.DataFrame
) -> pl.DataFrame:
    pair = ["playlist_id", "track_id"]
    known = holdouts.join(interactions.unique(pair).with_columns(is_known=True), on=pair, how="left")
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


def _twins(tracks: pl.DataFrame) -> pl.DataFrame:
    artist = pl.col("artist_name").str.to_lowercase().str.strip_chars().alias("artist")
    titled = (
        tracks.select(artist, normalised_title().alias("title"), "split").drop_nulls().filter(pl.col("title") != "")
    )
    counts = titled.group_by("artist", "title").agg(pl.col("split").n_unique())
    return counts.filter(pl.col("split") > 1).sort("artist", "title").select("artist", "title")
