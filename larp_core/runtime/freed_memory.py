"""Memory that is freed stays with the process: without it, each clip's arrays are paid for with page faults anew.

The C library gives large blocks back to the system at once, and what is given back is faulted in again, page by page,
for the next clip: a tenth of the time that cutting takes, and a quarter of the log-mels'.
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of mallopt(3), glibc."""

KEPT_BYTES = 64 << 20
LARGEST_BYTES = 32 << 20
"""The most that glibc takes. Larger blocks, as of a file that claims much, are given back as ever."""


def keep_freed_memory() -> None:
    """From now on this process keeps up to 64 MiB of what it frees. Does nothing where the C library can't."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
