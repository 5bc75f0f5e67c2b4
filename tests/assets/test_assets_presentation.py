"""What a person sees of a finished step."""

import base64
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from PIL import Image

from assets.presentation import MAX_PICTURE_BYTES, MAX_TABLE_ROWS, metadata_of, value_of
from larp_core.graph.memo import Finished
from larp_core.runtime.report import Report


def write_png(path: Path, size: int) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def picture(path: Path) -> bytes:
    report = Report(1, pictures={"curve": str(path)})
    text = metadata_of(Finished(report, reused=False, seconds=1.0, digest="d"))["curve"].value
    return base64.b64decode(text.removeprefix(f"![{path.stem}](data:image/png;base64,").removesuffix(")"))


def test_a_small_picture_is_embedded_as_it_is(tmp_path: Path) -> None:
    path = write_png(tmp_path / "a.png", 20)
    assert picture(path) == path.read_bytes()


def test_a_large_picture_is_made_smaller(tmp_path: Path) -> None:
    path = write_png(tmp_path / "a.png", 900)
    assert path.stat().st_size > MAX_PICTURE_BYTES
    (tmp_path / "b.png").write_bytes(picture(path))
    assert (tmp_path / "b.png").stat().st_size <= MAX_PICTURE_BYTES
    with Image.open(tmp_path / "b.png") as image:
        assert image.width == image.height < 900


def test_facts_keep_their_types_and_the_order_is_for_reading() -> None:
    facts = {"share": 0.5, "count": 3, "on": True, "name": "x", "by_status": {"ok": 2}, "none": None}
    report = Report(1_234, facts, tables={"rows": [{"a": 1}]})
    metadata = metadata_of(Finished(report, reused=True, seconds=2.5, digest="d"))
    assert list(metadata) == ["dagster/row_count", *facts, "rows", "reused", "work_seconds"]
    assert {name: metadata[name].value for name in facts} == facts
    assert isinstance(metadata["on"], dg.BoolMetadataValue)
    assert metadata["dagster/row_count"].value == 1_234


def test_numbers_are_shown_with_the_digits_that_mean_something() -> None:
    assert value_of(0.10754542900560596).value == 0.1075
    assert value_of(123_456_789).value == 123_456_789


def test_no_part_of_a_report_hides_another(tmp_path: Path) -> None:
    path = write_png(tmp_path / "a.png", 20)
    report = Report(1, tables={"curve": [{"epoch": 1}]}, pictures={"curve": str(path)})
    with pytest.raises(ValueError, match="curve"):
        metadata_of(Finished(report, reused=False, seconds=1.0, digest="d"))


@pytest.mark.parametrize("value", [(1, 2), [Path("x")], {"a": {1: None}}])
def test_anything_else_becomes_json(value: object) -> None:
    assert isinstance(value_of(value), dg.JsonMetadataValue)


def test_a_long_table_says_how_much_it_hides() -> None:
    report = Report(1, tables={"rows": [{"n": n} for n in range(MAX_TABLE_ROWS + 5)]})
    shown = str(metadata_of(Finished(report, reused=False, seconds=1.0, digest="d"))["rows"].value)
    assert shown.count("\n|") == MAX_TABLE_ROWS + 1
    assert shown.endswith("and 5 more rows")


def test_a_notebook_is_shown_where_it_lies(tmp_path: Path) -> None:
    report = Report(1, notebooks={"listen": str(tmp_path / "clips.ipynb")})
    shown = metadata_of(Finished(report, reused=False, seconds=1.0, digest="d"))["listen"]
    assert isinstance(shown, dg.NotebookMetadataValue) and shown.path == str(tmp_path / "clips.ipynb")
