"""First plays from the bytes of LFM-2b's listening events, in one compiled pass that makes no frame of the events.

It takes the lines that the distribution's files hold. From the first other one on, a block is left to the patient
reader (`tsv`, `lfm_plays` beside this), which knows all that may stand in a file and gives the same
plays and rejects. Importing and compiling this takes more than a second in each process: it is for long files.
"""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
import numpy.typing as npt
import polars as pl

from larp_core.data.readers.lfm_lines import HEADER, NO_ALBUM, NUM_USERS, Bytes, read_line
from larp_core.data.readers.lfm_plays import ID, NOT_CHOSEN, TOO_EARLY, FirstPlays, Sieve

SLOTS = 1 << 18
"""Of the table, a power of two. Small, so that it stays in the cache; few users have more tracks than half of it."""
LINES_AT_ONCE = 64
KEY, SECONDS, ROW, ALBUM = range(4)
"""Columns of the table. A key is the user times 2 ** 32 plus the track."""
LINE_KEY, LINE_SECONDS, LINE_ALBUM, LINE_AT, LINE_SIDE, LINE_SLOT = range(6)
"""Columns of the lines that are looked up at once: where each begins, its user's side, what its slot holds."""
EMPTY = -1
SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""2 ** 64 over the golden ratio, as in Knuth's multiplicative hashing (The Art of Computer Programming, 6.4)."""
UNKNOWN, IN, OUT = range(3)
OUTSIDE, EARLY, REPEAT = range(3)
DONE, ODD, NEW_USER, FULL = range(4)

Numbers = npt.NDArray[np.int64]


class QuickPlays:
    """Reads blocks of lines into `plays`, for users whom `is_chosen` says to take part and times from `since` on.

    A table holds the first plays of the users whose events are being read. Full, it is a part of `plays`, and a new
    one begins: its memory is fixed.

    Attributes:
        header: of the files whose lines it knows.
        num_rows: events read so far.
    """

    def __init__(self, plays: FirstPlays, sieve: Sieve, is_chosen: Callable[[int], bool], since: int | None) -> None:
        self.header, self.num_rows = HEADER, 0
        self._plays, self._sieve, self._is_chosen, self._since = plays, sieve, is_chosen, since or 0
        self._users = np.full(NUM_USERS, UNKNOWN, dtype=np.uint8)
        self._table = np.full((SLOTS, 4), EMPTY, dtype=np.int64)
        self._num_in_table = 0

    def read(self, text: memoryview, first_row: int) -> tuple[int, int]:
        """How many of the first lines, and of the bytes, of a block have been dealt with: up to the first odd one."""
        if text[-1:] != b"\n":
            return 0, 0  # a line feed is what stops every look ahead
        lines, at, row = np.frombuffer(text, dtype=np.uint8), 0, first_row
        nums, firsts = np.zeros(3, dtype=np.int64), np.full(3, 2**62)
        why = FULL
        while why not in (DONE, ODD):
            room = len(self._table) // 2 - self._num_in_table
            at, row, room, user, why = _sift(lines, at, row, self._since, self._users, self._table, room, nums, firsts)
            self._num_in_table = len(self._table) // 2 - room
            if why == NEW_USER:
                self._users[user] = IN if self._is_chosen(user) else OUT
            elif why == FULL:
                self.close()
        self._sieve.drop(NOT_CHOSEN, int(nums[OUTSIDE]), int(firsts[OUTSIDE]))
        self._sieve.drop(TOO_EARLY, int(nums[EARLY]), int(firsts[EARLY]))
        self._plays.repeat(int(nums[REPEAT]), int(firsts[REPEAT]))
        self.num_rows += row - first_row
        return row - first_row, at

    def close(self) -> None:
        """Hands over what is in the table and empties it."""
        if not self._num_in_table:
            return
        pairs, seconds, rows, albums = self._table[self._table[:, KEY] != EMPTY].T
        part = pl.DataFrame({"pair": pairs.astype(np.uint64), "seconds": seconds, "row": rows, "album_id": albums})
        self._plays.add_part(part.with_columns(pl.col("album_id").replace(NO_ALBUM, None).cast(ID)))
        self._table[:, KEY] = EMPTY
        self._num_in_table = 0


@numba.njit(nogil=True)
def _sift(
    text: Bytes,
    at: int,
    row: int,
    since: int,
    users: Bytes,
    table: Numbers,
    room: int,
    nums: Numbers,
    firsts: Numbers,
) -> tuple[int, int, int, int, int]:
    """Reads lines from `at` on; returns where and at which row it stopped, the room left, a user, and why."""
    lines = np.empty((LINES_AT_ONCE, 6), dtype=np.int64)
    user, why = 0, DONE
    while at < len(text) and why == DONE:
        num_lines, end, user, why = _read(text, at, users, lines)
        _fetch(table, lines[:num_lines])
        for index in range(num_lines):
            key, second, album, at, side, _ = lines[index]
            if side == OUT:
                _lose(nums, firsts, OUTSIDE, row)
            elif second < since:
                _lose(nums, firsts, EARLY, row)
            else:
                slot = _find(table, key)
                if table[slot, KEY] == EMPTY:
                    if room == 0:
                        return at, row, room, user, FULL
                    room -= 1
                    _put(table, slot, key, second, row, album)
                elif second < table[slot, SECONDS]:
                    _lose(nums, firsts, REPEAT, table[slot, ROW])
                    _put(table, slot, key, second, row, album)
                else:
                    _lose(nums, firsts, REPEAT, row)
            row += 1
        at = end
    return at, row, room, user, why


@numba.njit(nogil=True)
def _read(text: Bytes, at: int, users: Bytes, lines: Numbers) -> tuple[int, int, int, int]:
    """Fills `lines` from those at `at`; returns how many, where they end, a user, and why no more."""
    for index in range(len(lines)):
        if at == len(text):
            return index, at, 0, DONE
        user, track, album, second, end = read_line(text, at)
        if user < 0:
            return index, at, user, ODD
        side = users[user]
        if side == UNKNOWN:
            return index, at, user, NEW_USER
        lines[index, LINE_KEY], lines[index, LINE_SECONDS] = user << 32 | track, second
        lines[index, LINE_ALBUM], lines[index, LINE_AT], lines[index, LINE_SIDE] = album, at, side
        at = end
    return len(lines), at, 0, DONE


@numba.njit(nogil=True)
def _fetch(table: Numbers, lines: Numbers) -> None:
    """Has the processor load the slots all at once, not one after the other: while others decode, memory is slow.

    What they hold is put into `lines`, lest the compiler leave the loading out.
    """
    for index in range(len(lines)):
        lines[index, LINE_SLOT] = table[_first_slot(table, lines[index, LINE_KEY]), KEY]


@numba.njit(nogil=True)
def _find(table: Numbers, key: int) -> int:
    """The slot of a key, or the empty one where it belongs."""
    slot = _first_slot(table, key)
    while table[slot, KEY] != key and table[slot, KEY] != EMPTY:
        slot = slot + 1 & len(table) - 1
    return slot


@numba.njit(nogil=True)
def _first_slot(table: Numbers, key: int) -> int:
    return int(np.uint64(key) * SPREAD >> np.uint64(32)) & len(table) - 1


@numba.njit(nogil=True)
def _put(table: Numbers, slot: int, key: int, second: int, row: int, album: int) -> None:
    table[slot, KEY], table[slot, SECONDS], table[slot, ROW], table[slot, ALBUM] = key, second, row, album


@numba.njit(nogil=True)
def _lose(nums: Numbers, firsts: Numbers, reason: int, row: int) -> None:
    nums[reason] += 1
    firsts[reason] = min(firsts[reason], row)
