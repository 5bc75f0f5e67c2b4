"""Whether a decoder that looks for bz2 blocks by their mark has found all of them.

Format of bzip2: streams, each `BZh1` to `BZh9`, blocks, an end. A block begins, at any bit, with a mark of 48 bits and
the CRC of its content, the end with another mark and the CRC of all blocks' CRCs; then bits up to a whole byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

BLOCK_MARK, END_MARK = 0x314159265359, 0x177245385090
MARK_BITS, CRC_BITS = 48, 32
READ_BYTES = (MARK_BITS + CRC_BITS) // 8 + 1
"""What a mark and a CRC that begin at any bit take."""


def are_complete(path: Path, offsets: Iterable[int]) -> bool:
    """Whether `offsets`, in bits, are those of all blocks and ends of a file, the last of them at the file's end.

    A block whose mark is damaged is no block to whoever looks for marks: it is in no list, and nothing else is amiss
    but the CRC of its stream.
    """
    combined, end = 0, None
    with path.open("rb") as handle:
        for offset in sorted(offsets):
            mark, crc = _mark_and_crc(handle, offset)
            if mark == BLOCK_MARK:
                combined, end = (combined << 1 & 0xFFFFFFFF | combined >> 31) ^ crc, None
            elif mark == END_MARK:
                if crc != combined:
                    return False
                combined, end = 0, -(-(offset + MARK_BITS + CRC_BITS) // 8)
    return end == path.stat().st_size


def _mark_and_crc(handle: BinaryIO, offset: int) -> tuple[int, int]:
    handle.seek(offset // 8)
    bits = int.from_bytes(handle.read(READ_BYTES).ljust(READ_BYTES, b"\0"), "big")
    bits >>= 8 - offset % 8
    return bits >> CRC_BITS & (1 << MARK_BITS) - 1, bits & (1 << CRC_BITS) - 1
