"""What is freed is used again, not given back: counted in page faults, in a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

ROUNDS, PAGES = 20, 3_000_000 // 4096

COUNT_FAULTS = f"""
import resource
import numpy as np
from larp_core.runtime.freed_memory import keep_freed_memory
{{keep}}
def work():
    for size in (3_500_000, 1_750_000, 1_900_000):  # bytes of a window, of its mean, of the clip
        np.ones(size, np.uint8)
    kept = [np.ones(3_000_000, np.uint8), np.ones(2_500_000, np.uint8), np.ones(3_500_000, np.uint8)]
for _ in range(3):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({ROUNDS}):
    work()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / {ROUNDS})
"""


def faults(keep: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS.replace("{keep}", keep)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_is_freed_is_not_faulted_in_again() -> None:
    assert faults("") > PAGES
    assert faults("keep_freed_memory()") < PAGES / 10
