"""Writing where the disk is full: one line for the user, and nothing left behind."""

from __future__ import annotations

import errno
from pathlib import Path

import polars as pl
import pyarrow.parquet
import pytest

from larp_core.runtime.errors import UserError
from larp_core.runtime.files import atomic_path


def by_polars(partial: Path) -> None:
    pl.DataFrame({"a": range(100_000)}).write_parquet(partial)


def by_arrow(partial: Path) -> None:
    pyarrow.parquet.write_table(pl.DataFrame({"a": range(100_000)}).to_arrow(), partial)


def as_text(partial: Path) -> None:
    partial.write_text("x" * 100_000)


@pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="needs /dev/full, which answers every write with a full disk"
)
@pytest.mark.parametrize("write", [by_polars, by_arrow, as_text])
def test_a_full_disk_is_said_with_its_folder(tmp_path, write):
    target = tmp_path / "table.parquet"
    target.write_text("old")
    with pytest.raises(UserError) as caught, atomic_path(target) as partial:
        partial.symlink_to("/dev/full")
        write(partial)
    assert str(tmp_path) in str(caught.value) and "disk is full" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["table.parquet"] and target.read_text() == "old"


def test_other_errors_pass_as_they_are(tmp_path):
    with pytest.raises(OSError, match="io") as caught, atomic_path(tmp_path / "x"):
        raise OSError(errno.EIO, "io")
    assert caught.value.errno == errno.EIO
