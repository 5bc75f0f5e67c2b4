"""The bytes of a file, plain or unpacked from bz2, in order and up to where they are sound."""

from __future__ import annotations

import bz2
import os
from pathlib import Path
from typing import Any, BinaryIO

from larp_core.data.readers import bz2_blocks

INPUT_BYTES = 1 << 16
OUTPUT_BYTES = 256
"""What is unpacked at a time: so much at most is lost before a damage, since a call that meets it gives nothing."""


class DamagedError(Exception):
    """Several cores can't tell where the damage of a bz2 begins: what they have given may lack a part in the middle."""


class _Place:
    """Where a source is in its file.

    Attributes:
        num_bytes: of the file as it lies on disk.
        position: how many of these have been read. Kept here, since a decoder can't be asked from another thread.
        damage: what is wrong, once that place is reached.
    """

    def __init__(self, num_bytes: int) -> None:
        self.num_bytes, self.position, self.damage = num_bytes, 0, ""

    def _end_at(self, problem: object) -> int:
        """Nothing more is read."""
        self.damage = "cut off or damaged (" + " ".join(str(problem).split()) + ")"
        return 0


class PlainSource(_Place):
    def __init__(self, handle: Any) -> None:
        super().__init__(_size(handle))
        self._handle = handle

    def read_into(self, space: memoryview) -> int:
        try:
            num = int(self._handle.readinto(space) or 0)
        except OSError as error:
            return self._end_at(error)
        self.position += num
        return num


class ParallelSource(_Place):
    """Of a bz2, by `indexed_bzip2` on several cores. Raises DamagedError at the damage, or at the end."""

    def __init__(self, packed: Any, path: Path) -> None:
        super().__init__(path.stat().st_size)
        self._packed, self._path = packed, path

    def read_into(self, space: memoryview) -> int:
        try:
            num = int(self._packed.raw.readinto(space) or 0)
        except (OSError, EOFError, RuntimeError, ValueError):
            raise DamagedError from None
        if num == 0 and not bz2_blocks.are_complete(self._path, self._packed.block_offsets()):
            raise DamagedError
        self.position = max(self.position, self._packed.tell_compressed() // 8)  # in bits; 0 after the end
        return num


class CarefulSource(_Place):
    """Of a bz2, by the standard library on one core, which goes from block to block and so notices a missing one."""

    def __init__(self, handle: Any) -> None:
        super().__init__(_size(handle))
        self._handle = handle
        self._decoder = bz2.BZ2Decompressor()
        self._input = b""

    def read_into(self, space: memoryview) -> int:
        num = 0
        while num < len(space) and not self.damage and (piece := self._next(min(OUTPUT_BYTES, len(space) - num))):
            space[num : num + len(piece)] = piece
            num += len(piece)
        return num

    def _next(self, most: int) -> bytes:
        """At most so many bytes; none at the end or at damage."""
        while True:
            if self._decoder.eof:
                rest = self._decoder.unused_data or self._fetch()
                if not rest:
                    return b""
                self._decoder, self._input = bz2.BZ2Decompressor(), rest
            elif self._decoder.needs_input and not self._input:
                self._input = self._fetch()
                if not self._input:
                    self._end_at("the end is missing")
                    return b""
            try:
                piece = self._decoder.decompress(self._input, most)
            except OSError as error:
                self._end_at(error)
                return b""
            self._input = b""
            if piece:
                return piece

    def _fetch(self) -> bytes:
        block = bytes(self._handle.read(INPUT_BYTES))
        self.position += len(block)
        return block


Source = PlainSource | ParallelSource | CarefulSource
"""Each has `read_into(space)`: puts the next bytes there and says how many, none at the end or where damage begins."""


def _size(handle: BinaryIO) -> int:
    return os.fstat(handle.fileno()).st_size
