"""Lines of LFM-2b's listening events as numbers, in one pass over the bytes: what the distribution's files hold.

A block with anything else in it, be it one odd line, is left to the patient reader (`larp_core.data.tsv`), which knows
all that may stand in a file. This one costs a third of it, on a single thread, so that more is left for unpacking.
Importing and compiling it takes more than a second in each process: it is for long files.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
import polars as pl

HEADER = ["user_id", "track_id", "album_id", "timestamp"]
NO_ALBUM = 2**32 - 1
MAX_DIGITS = 9
"""So many digits always fit 32 bits and are never `NO_ALBUM`."""
SHORTEST_LINE = len("1\t1\t1\t2013-11-23 14:22:38\n")
SHAPE = tuple(b"0000-00-00 00:00:00")
TIME_LENGTH = len(SHAPE)
TAB, LF, CR, MINUS, ZERO, NINE = tuple(b"\t\n\r-09")
MONTH_STARTS = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365)
EPOCH_DAYS = 365 * 1970 + 1969 // 4 - 1969 // 100 + 1969 // 400 + 1

Bytes = npt.NDArray[np.uint8]
Ids = npt.NDArray[np.uint32]


def read_lines(text: bytes) -> pl.DataFrame | None:
    """`user_id, track_id, album_id` uint32 and `seconds` int64 since 1970, or None where a line is odd.

    Each line must be `<user>\\t<track>\\t<album>\\t<time>`, ended by LF or CR LF: ids of one to nine digits, of an
    album -1 too, which becomes null, and a time from 1970 on as `2013-11-23 14:22:38`.
    """
    if not text.endswith(b"\n"):
        return None  # below, a line feed is what stops every look ahead
    most = len(text) // SHORTEST_LINE + 1
    users, tracks, albums = np.empty((3, most), dtype=np.uint32)
    seconds = np.empty(most, dtype=np.int64)
    num_rows = _fill(np.frombuffer(text, dtype=np.uint8), users, tracks, albums, seconds)
    if num_rows < 0:
        return None
    columns = {"user_id": users, "track_id": tracks, "album_id": albums, "seconds": seconds}
    frame = pl.DataFrame(columns).head(num_rows)
    if (albums[:num_rows] == NO_ALBUM).any():
        frame = frame.with_columns(album_id=pl.when(pl.col("album_id") != NO_ALBUM).then("album_id"))
    return frame


@numba.njit(nogil=True)
def _fill(text: Bytes, users: Ids, tracks: Ids, albums: Ids, seconds: npt.NDArray[np.int64]) -> int:
    """Fills the arrays; returns the number of lines, or -1 where one is odd."""
    at, row, last = 0, 0, len(text) - 1
    while at <= last:
        user, at = _number(text, at)
        track, at = _number(text, at)
        if text[at] == MINUS:
            album, at = _number(text, at + 1)
            album = NO_ALBUM if album == 1 else -1
        else:
            album, at = _number(text, at)
        if user < 0 or track < 0 or album < 0 or at + TIME_LENGTH > last:
            return -1
        second = _second(text, at)
        at += TIME_LENGTH
        if text[at] == CR:
            at += 1
        if second < 0 or text[at] != LF:
            return -1
        users[row], tracks[row], albums[row], seconds[row] = user, track, album, second
        at += 1
        row += 1
    return row


@numba.njit(nogil=True)
def _number(text: Bytes, at: int) -> tuple[int, int]:
    """The number at `at` and where the next field begins; -1 where there is no number, or no tab after it."""
    value, start = 0, at
    while ZERO <= text[at] <= NINE:
        value = value * 10 + text[at] - ZERO
        at += 1
    if text[at] != TAB or not 0 < at - start <= MAX_DIGITS:
        return -1, at
    return value, at + 1


@numba.njit(nogil=True)
def _second(text: Bytes, at: int) -> int:
    """The time at `at` as seconds since 1970; -1 where it is none, or a leap second."""
    for place in range(TIME_LENGTH):
        wanted = SHAPE[place]
        if text[at + place] != wanted and (wanted != ZERO or not ZERO <= text[at + place] <= NINE):
            return -1
    year = _two_digits(text, at) * 100 + _two_digits(text, at + 2)
    month, day = _two_digits(text, at + 5), _two_digits(text, at + 8)
    hour, minute, second = _two_digits(text, at + 11), _two_digits(text, at + 14), _two_digits(text, at + 17)
    if year < 1970 or not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 59:
        return -1
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= day <= MONTH_STARTS[month] - MONTH_STARTS[month - 1] + (is_leap and month == 2):
        return -1
    before = year - 1
    days = 365 * year + before // 4 - before // 100 + before // 400 + MONTH_STARTS[month - 1] + day
    days += is_leap and month > 2
    return (days - EPOCH_DAYS) * 86_400 + hour * 3_600 + minute * 60 + second


@numba.njit(nogil=True)
def _two_digits(text: Bytes, at: int) -> int:
    return (text[at] - ZERO) * 10 + text[at + 1] - ZERO
