"""Pipe tables: of cells that are Markdown, and of values that are anything and stay text."""

from __future__ import annotations

import html
import re

import mistune
import pytest
from hypothesis import given
from hypothesis import strategies as st

from larp_core.runtime.markdown import table, table_of


def test_a_table_is_padded_and_well_formed() -> None:
    lines = table(["row", "R@10"], [["a|b", "0.1"], ["c", "0.25"]]).splitlines()
    assert lines == ["| row  | R@10 |", "|------|-----:|", "| a\\|b |  0.1 |", "| c    | 0.25 |"]


def test_a_long_table_counts_what_it_hides() -> None:
    lines = table_of([{"n": n / 3} for n in range(5)], most=3, digits=2).splitlines()
    assert lines == ["| n |", "| --- |", "| 0 |", "| 0.33 |", "| 0.67 |", "", "and 2 more rows"]
    assert table_of([], most=3, digits=2) == "no rows"


@given(
    st.lists(st.fixed_dictionaries({"a": st.text(), "b": st.one_of(st.none(), st.integers())}), min_size=1, max_size=5)
)
def test_no_cell_breaks_the_table(rows: list[dict[str, object]]) -> None:
    lines = table_of(rows, most=60, digits=4).split("\n")
    assert len(lines) == len(rows) + 2
    assert all(line.replace("\\\\", "").replace("\\|", "").count("|") == 3 for line in lines)


@pytest.mark.parametrize(
    "name",
    [
        *("![x](http://host/x.png)", "[here](http://host)", "<img src=x>", "*NSYNC*", "_x_", "a|b", "a\\|b", "C:\\new"),
        *("`code`", "~~gone~~", "not_found", "&amp;", "مرحبا", "🎸", 'say "hi"', "a\r\nb"),
    ],
)
def test_a_songs_name_is_text_and_stays_as_it_is(name: str) -> None:
    page = mistune.create_markdown(plugins=["table", "strikethrough"], escape=True)(
        table_of([{"name": name}], most=60, digits=4)
    )
    cells = re.findall(r"<td>(.*?)</td>", page, re.DOTALL)
    assert [html.unescape(cell) for cell in cells] == [" ".join(name.splitlines())]
