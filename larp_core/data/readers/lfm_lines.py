"""A line of LFM-2b's listening events as numbers, compiled: what the distribution's files hold, and nothing else.

Importing and compiling it takes more than a second in each process: it is for long files.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

HEADER = ["user_id", "track_id", "album_id", "timestamp"]
NO_ALBUM = 2**32 - 1
MAX_DIGITS = 9
"""So many digits always fit 32 bits and are never `NO_ALBUM`."""
NUM_USERS = 1 << 24
"""A hundred times LFM-2b's, whose users are counted from 0: few enough for a table with a byte each."""
SHAPE = b"0000-00-00 00:00:00"
TIME_LENGTH = len(SHAPE)
TAB, LF, CR, MINUS, ZERO = tuple(b"\t\n\r-0")
DIGITS = tuple(place for place, wanted in enumerate(SHAPE) if wanted == ZERO)
SEPARATORS = tuple((place, wanted) for place, wanted in enumerate(SHAPE) if wanted != ZERO)
MONTH_STARTS = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365)
EPOCH_DAYS = 365 * 1970 + 1969 // 4 - 1969 // 100 + 1969 // 400 + 1

Bytes = npt.NDArray[np.uint8]


@numba.njit(nogil=True)
def read_line(text: Bytes, at: int) -> tuple[int, int, int, int, int]:
    """User, track, album, seconds since 1970 of the line at `at`, and where the next begins; a user of -1 if it is odd.

    A line must be `<user>\\t<track>\\t<album>\\t<time>`, ended by LF or CR LF: a user below `NUM_USERS`, ids of one to
    nine digits, of an album -1 too, which is `NO_ALBUM`, and a time from 1970 on as `2013-11-23 14:22:38`. The text
    must end with LF.
    """
    last = len(text) - 1
    user, at = _number(text, at)
    track, at = _number(text, at)
    if text[at] == MINUS:
        album, at = _number(text, at + 1)
        album = NO_ALBUM if album == 1 else -1
    else:
        album, at = _number(text, at)
    if not 0 <= user < NUM_USERS or track < 0 or album < 0 or at + TIME_LENGTH > last:
        return -1, 0, 0, 0, 0
    second = _second(text, at)
    at += TIME_LENGTH
    if text[at] == CR:
        at += 1
    if second < 0 or text[at] != LF:
        return -1, 0, 0, 0, 0
    return user, track, album, second, at + 1


@numba.njit(nogil=True)
def _number(text: Bytes, at: int) -> tuple[int, int]:
    """The number at `at` and where the next field begins; -1 where there is no number, or no tab after it."""
    value, start = 0, at
    digit = text[at] ^ ZERO  # of any other byte more than 9
    while digit <= 9:
        value = value * 10 + digit
        at += 1
        digit = text[at] ^ ZERO
    if text[at] != TAB or not 0 < at - start <= MAX_DIGITS:
        return -1, at
    return value, at + 1


@numba.njit(nogil=True)
def _second(text: Bytes, at: int) -> int:
    """The time at `at` as seconds since 1970; -1 where it is none, or a leap second."""
    is_odd = False
    for place in DIGITS:  # without a branch at each, which would cost more
        is_odd |= text[at + place] ^ ZERO > 9
    for place, wanted in SEPARATORS:
        is_odd |= text[at + place] != wanted
    if is_odd:
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
