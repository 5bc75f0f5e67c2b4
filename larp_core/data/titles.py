"""Names made comparable: when two tracks are one song, when two are by one artist or from one album.

Expressions over the columns of `tracks.parquet`; letters of every script stay as they are.
"""

from __future__ import annotations

import polars as pl

PARTS = r"\b(?:part|vol|chapter|act|movement|no) (?:\d+|[ivx]+|one|two|three|four|five)\b"
"""What tells 'Song (Part 1)' from 'Song (Part 2)', wherever it stands; punctuation is gone by then."""

_WORDS = (
    r"re-?master(?:ed|s)?|re-?recorded|reissue|deluxe|expanded|anniversary|edition|version|mono|stereo|edit|bonus|"
    r"explicit|unplugged|soundtrack|original mix|\d{4} mix"
)
_REST = r"[^()\[\]]*"
_PRESSING = "|".join(
    (
        rf"{_REST}\b(?:{_WORDS})\b{_REST}",
        rf"(?:recorded )?live(?: (?:at|from|in|on|session|acoustic)\b{_REST}|[ /,]*\d{{4}})?",
        rf"(?:feat|ft|featuring|with)\b{_REST}",
        rf"from [\"“'‘]{_REST}",
        "acoustic|demo|instrumental|single|clean|original",
    )
)
_IN_BRACKETS = rf"(.)[(\[]\s*(?:{_PRESSING})\s*[)\]]"
_AFTER_THE_LAST_DASH = rf"^(.*) - (?:{_PRESSING})\s*$"
_GUESTS = r"\s(?:feat\.|ft\.|featuring\s)[^(\[]*?( - |[(\[]|$)"


def normalised_title() -> pl.Expr:
    """`track_name` without what tells one pressing of a song from another: guests, remasters, live, edits, editions.

    Case, punctuation and compatibility forms go too. Part and volume numbers stay, and so do remixes: another work.
    """
    title = _plain("track_name").str.replace_all(r"\s[–—]\s", " - ").str.replace_all(_GUESTS, " ${1}")
    title = title.str.replace_all(_IN_BRACKETS, "${1} ")
    for _ in range(2):  # "Song - Live - Remastered 2009"
        title = title.str.replace(_AFTER_THE_LAST_DASH, "${1}")
    parts = _words(_plain("track_name")).str.extract_all(PARTS).list.join(" ")
    return _squeezed(pl.concat_str(_words(title).str.replace_all(PARTS, " "), parts, separator=" "))


def normalised_artist() -> pl.Expr:
    """`artist_name` in lower case, without compatibility forms and doubled spaces; null where there is none."""
    return _or_null(_squeezed(_plain("artist_name")))


def artist_key() -> pl.Expr:
    """What makes two tracks one artist's: `artist_uri`, else the normalised name; a nameless track is on its own."""
    return pl.coalesce(_or_null(pl.col("artist_uri")), _prefixed("name", normalised_artist()), _alone())


def album_key() -> pl.Expr:
    """What makes two tracks one album's: `album_uri`, else artist and normalised name, else the track alone."""
    album = _or_null(_squeezed(_plain("album_name")))
    named = pl.concat_str(normalised_artist().fill_null(""), album, separator="\n")
    return pl.coalesce(_or_null(pl.col("album_uri")), _prefixed("name", named), _alone())


def _plain(column: str) -> pl.Expr:
    return pl.col(column).str.normalize("NFKC").str.to_lowercase()


def _words(title: pl.Expr) -> pl.Expr:
    """Letters, marks and digits of any script, `pt` and `volume` in one spelling."""
    words = _squeezed(title.str.replace_all(r"['’`]", "").str.replace_all(r"[^\pL\pM\pN]+", " "))
    return words.str.replace_all(r"\bpt\b", "part").str.replace_all(r"\bvolume\b", "vol")


def _squeezed(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all(r"\s+", " ").str.strip_chars()


def _or_null(text: pl.Expr) -> pl.Expr:
    return pl.when(text != "").then(text)


def _prefixed(kind: str, text: pl.Expr) -> pl.Expr:
    return pl.concat_str(pl.lit(f"{kind}\n"), text)


def _alone() -> pl.Expr:
    return _prefixed("track", pl.col("track_uri"))
