"""A stable hash of ids: the same id and seed give the same number on every machine, version and number of threads.

BLAKE2b of the standard library (RFC 7693), since DuckDB's and polars' own hashes may change between versions. About one
microsecond an id, so two million ids take a few seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt


def hash_ids(ids: Iterable[str], seed: int, purpose: str) -> npt.NDArray[np.uint64]:
    """64-bit hashes [num_ids] of ids; another `purpose` gives numbers independent of the first."""
    base = hashlib.blake2b(f"{purpose}\0{seed}\0".encode(), digest_size=8)
    digests = []
    for value in ids:
        state = base.copy()
        state.update(value.encode())
        digests.append(state.digest())
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def unit_interval(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Hashes as numbers in [0, 1), from their upper 53 bits."""
    return (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53
