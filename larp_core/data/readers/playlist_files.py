"""Playlists as files: m3u, m3u8 and `playlists.csv`, as entries that are not looked up yet.

m3u has no standard; players agree on this: one path or URL a line, `#` before comments, `#EXTM3U` at the top,
`#EXTINF:<seconds>,<artist> - <title>` before an entry, `#PLAYLIST:<name>`. An .m3u8 is UTF-8, an .m3u may be anything.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import re
from dataclasses import dataclass, field

from larp_core.runtime.errors import UserError

MAX_INT32 = 2**31 - 1
LINE_END = re.compile(r"\r\n|\n|\r")
EXTINF = re.compile(r"#EXTINF:\s*(-?[0-9]{1,9}(?:\.[0-9]*)?)?[^,]*(?:,(.*))?", re.IGNORECASE)
NAME_LINE = re.compile(r"#PLAYLIST:(.*)", re.IGNORECASE)
CSV_COLUMNS = ("playlist", "track")


@dataclass(frozen=True)
class PlaylistEntry:
    """One line of a playlist: the path or URL as it is written, its line, and what `#EXTINF` says of it."""

    text: str
    line: int
    title: str | None = None
    artist: str | None = None
    duration_ms: int | None = None


@dataclass(frozen=True)
class WrittenPlaylist:
    """A playlist as it is written; `name` is None where the file doesn't say."""

    name: str | None
    entries: list[PlaylistEntry] = field(default_factory=list)


@dataclass(frozen=True)
class WrittenTable:
    """A `playlists.csv`: playlists by name, lines that lack a field, and the problem that ended the reading, if any."""

    playlists: dict[str, WrittenPlaylist]
    incomplete_lines: list[int]
    problem: str = ""


def decode(content: bytes) -> str:
    """UTF-8, or UTF-16 with its mark; what is neither is taken for Windows' Western Europe or Latin-1."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace")
    for encoding in ("utf-8-sig", "cp1252"):
        with contextlib.suppress(UnicodeDecodeError):
            return content.decode(encoding)
    return content.decode("latin-1")


def parse_m3u(content: bytes) -> WrittenPlaylist:
    """The entries of an .m3u or .m3u8, in order."""
    name, entries = None, []
    info: re.Match[str] | None = None
    for number, raw_line in enumerate(LINE_END.split(decode(content)), start=1):
        line = raw_line.strip()
        if line.startswith("#"):
            info = EXTINF.fullmatch(line) or info
            named = NAME_LINE.fullmatch(line)
            name = (named[1].strip() if named else "") or name
        elif line:
            entries.append(_entry(line, number, info))
            info = None
    return WrittenPlaylist(name, entries)


def parse_csv(content: bytes, file: str) -> WrittenTable:
    """The rows of a `playlists.csv` by playlist, in order of first appearance; other columns are passed over.

    Raises:
        UserError: the header lacks `playlist` or `track`.
    """
    rows = csv.reader(io.StringIO(decode(content), newline=""))
    table = WrittenTable({}, [])
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        if missing := [name for name in CSV_COLUMNS if name not in header]:
            found = " ".join(",".join(header).split())[:100]
            raise UserError(
                f"{file}, line 1: no column '{missing[0]}' in the header ({found}); make it 'playlist,track'"
            )
        places = [header.index(name) for name in CSV_COLUMNS]
        for row in rows:
            if not row:  # an empty line
                continue
            playlist, track = (row[place].strip() if place < len(row) else "" for place in places)
            if not playlist or not track:
                table.incomplete_lines.append(rows.line_num)
                continue
            written = table.playlists.setdefault(playlist, WrittenPlaylist(playlist))
            written.entries.append(PlaylistEntry(track, rows.line_num))
    except csv.Error as error:
        return WrittenTable(table.playlists, table.incomplete_lines, f"{error}, line {rows.line_num}")
    return table


def _entry(line: str, number: int, info: re.Match[str] | None) -> PlaylistEntry:
    if info is None:
        return PlaylistEntry(line, number)
    artist, dash, title = (info[2] or "").partition(" - ")
    if not dash:
        artist, title = "", artist
    duration_ms = round(float(info[1] or 0) * 1000)
    return PlaylistEntry(
        line,
        number,
        title.strip() or None,
        artist.strip() or None,
        duration_ms if 0 < duration_ms <= MAX_INT32 else None,
    )
