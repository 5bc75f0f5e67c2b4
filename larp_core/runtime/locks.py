"""One process at a time: the second waits, and is told for whom."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from larp_core.runtime.errors import UserError
from larp_core.runtime.files import make_folder, read_json, write_json

logger = logging.getLogger(__name__)

LOOKS, SECONDS_A_LOOK = 20, 0.05
"""How long the name of a holder is waited for, which it writes once it has the lock."""


@contextlib.contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """Holds the lock `path` within; another process that wants it waits, and logs who holds it and since when.

    The system frees it when its process ends, however that happens. Who holds it stands in a file beside it, since
    opening a lock empties it.

    Args:
        what: named in the log, such as `mpd/mels`.

    Raises:
        UserError: the lock or its folder can't be written.
    """
    make_folder(path.parent)
    # Any user who may write here may wait here.
    lock, holder = FileLock(path, mode=0o666), path.with_suffix(".holder.json")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("waiting for %s, which %s", what, _who(holder))
        lock.acquire()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}; delete it, or make it writable for every user") from None
    try:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_json({"host": socket.gethostname(), "pid": os.getpid(), "since": now}, holder)
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _who(holder: Path) -> str:
    for _ in range(LOOKS):
        try:
            found = read_json(holder)
            return f"process {found['pid']} on {found['host']} has been working on since {found['since']}"
        except (OSError, ValueError, KeyError):  # it has the lock, and has not written this yet
            time.sleep(SECONDS_A_LOOK)
    return "another process has just begun to work on"
