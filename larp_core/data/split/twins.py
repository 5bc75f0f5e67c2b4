"""Twins: one song under several uris on different sides of a split, such as a remaster or a deluxe edition's track.

They leak nothing by id, and everything by ear and name.
"""

from __future__ import annotations

import polars as pl

from larp_core.data.titles import normalised_artist, normalised_title

KEEPERS = ("train", "test", "valid")
"""Where a song stands in several splits, the first of these keeps it."""


def find_twins(tracks: pl.DataFrame) -> pl.DataFrame:
    """`artist, title, track_id, split` of the songs that stand in more than one split, by artist and title.

    Args:
        tracks: `track_id, split, track_name, artist_name`; tracks without either name have no twin.
    """
    named = tracks.select("track_id", "split", "track_name", normalised_artist().alias("artist")).drop_nulls()
    # A song held out nowhere has no twin, and titles cost more than names: look at the artists who are held out.
    held_out = named.filter(pl.col("split") != "train")
    candidates = named.join(held_out, on="artist", how="semi")
    songs = candidates.select("artist", normalised_title().alias("title"), "track_id", "split")
    songs = songs.filter(pl.col("title") != "")
    sides = songs.unique(["artist", "title", "split"]).group_by("artist", "title").len()
    crossing = sides.filter(pl.col("len") > 1)
    return songs.join(crossing, on=["artist", "title"], how="semi").sort("artist", "title", "track_id")


def superfluous(twins: pl.DataFrame) -> pl.Series:
    """Ids of the twins that are not in the split that keeps their song: train before test before valid."""
    order = pl.col("split").cast(pl.String).replace_strict(KEEPERS, range(len(KEEPERS)), return_dtype=pl.Int8)
    ranked = twins.select("track_id", is_kept=order == order.min().over("artist", "title"))
    return ranked.filter(~pl.col("is_kept"))["track_id"]


def count_songs(twins: pl.DataFrame) -> int:
    return twins.select("artist", "title").unique().height


def examples(twins: pl.DataFrame, num_examples: int) -> list[str]:
    """`artist: title` of some songs."""
    songs = twins.select("artist", "title").unique().sort("artist", "title").head(num_examples)
    return [f"{artist}: {title}" for artist, title in songs.rows()]
