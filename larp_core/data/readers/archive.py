"""A raw file is a file on disk or a member of a zip, which is read in place and never unpacked to disk."""

from __future__ import annotations

import errno
import functools
import lzma
import re
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from larp_core.runtime.errors import UserError
from larp_core.runtime.files import stat_signature


@dataclass(frozen=True)
class ZipMember:
    """A file within a zip. Its content is told by name, size and CRC-32, which the zip's directory holds."""

    archive: Path
    member: str
    num_bytes: int
    crc: int

    @property
    def name(self) -> str:
        return self.member.rsplit("/", 1)[-1]

    def __str__(self) -> str:
        return f"{self.archive}:{self.member}"

    def read_bytes(self) -> bytes:
        """Raises OSError where the member is damaged, encrypted or packed in an unknown way."""
        try:
            return _opened(self.archive, str(stat_signature(self.archive))).read(self.member)
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, KeyError) as error:
            raise OSError(errno.EIO, f"damaged in the zip ({error})") from None


RawFile = Path | ZipMember


def zip_members(archive: Path, name: re.Pattern[str]) -> list[ZipMember]:
    """Members whose name without folders matches, in the zip's order.

    Raises:
        UserError: the zip can't be read, is cut off, or holds two files of one name.
    """
    try:
        infos = _opened(archive, str(stat_signature(archive))).infolist()
    except (zipfile.BadZipFile, ValueError) as error:
        raise UserError(f"{archive}: cut off or not a zip ({error}); copy it again from the distribution") from None
    except OSError as error:
        raise UserError(f"{archive}: cannot be read ({error.strerror}); replace it or allow reading it") from None
    members = [ZipMember(archive, info.filename, info.file_size, info.CRC) for info in infos if not info.is_dir()]
    members = [member for member in members if name.fullmatch(member.name)]
    if twice := [found for found, count in Counter(member.name for member in members).items() if count > 1]:
        raise UserError(f"{archive}: holds {twice[0]} more than once; leave one of them in the zip")
    return members


@functools.lru_cache(maxsize=2)
def _opened(archive: Path, signature: str) -> zipfile.ZipFile:
    """Kept open, since reading the directory of a thousand members takes as long as a small one of them."""
    return zipfile.ZipFile(archive)
