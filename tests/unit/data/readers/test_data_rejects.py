"""Rejects: counts by file and reason, with the place of the first."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from larp_core.data.readers.rejects import SCHEMA, Rejects

ROWS = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["x", "y"]), st.integers(0, 9), st.text(max_size=3)))


def test_counts_add_up_and_the_first_place_stays():
    rejects = Rejects()
    rejects.add("b", "no uri", place="line 7")
    rejects.add("b", "no uri", 4, "line 9")
    rejects.add("a", "no time", 0, "nowhere")
    rejects.add("a", "no uri")
    assert rejects.frame().rows() == [("a", "no uri", 1, ""), ("b", "no uri", 5, "line 7")]
    assert (rejects.num_rows(), rejects.num_rows("b"), rejects.num_rows("c")) == (6, 5, 0)


def test_nothing_rejected_is_an_empty_frame():
    assert dict(Rejects().frame().schema) == SCHEMA and Rejects().frame().is_empty()


@given(rows=ROWS, kept=ROWS)
def test_extending_by_a_frame_is_adding_its_rows(rows, kept):
    whole, first, second = Rejects(), Rejects(), Rejects()
    for part, added in ((first, rows), (second, kept)):
        for row in added:
            part.add(*row)
    for row in rows:
        whole.add(*row)
    whole.extend([second.frame()])
    first.extend([second.frame()])
    assert whole.frame().equals(first.frame())
    expected: Counter[tuple[str, str]] = Counter()
    for file, reason, count, _ in rows + kept:
        expected[file, reason] += count
    assert {row[:2]: row[2] for row in whole.frame().iter_rows()} == {key: n for key, n in expected.items() if n}
