"""Batches made ahead: the same in the same order, no further ahead than wanted, errors where they belong."""

from __future__ import annotations

import threading

import pytest

from larp_core.training.prefetch import AHEAD, prefetched


def test_batches_come_in_order_from_another_thread() -> None:
    made = list(prefetched(range(20), lambda n: (n * n, threading.get_ident())))
    assert [(draw, square) for draw, (square, _) in made] == [(n, n * n) for n in range(20)]
    assert {thread for _, (_, thread) in made} != {threading.get_ident()}
    assert list(prefetched([], str)) == []


def test_no_more_is_drawn_than_a_few_ahead() -> None:
    drawn: list[int] = []

    def draws() -> object:
        for n in range(100):
            drawn.append(n)
            yield n

    batches = prefetched(draws(), str)  # type: ignore[arg-type]
    assert next(batches) == (0, "0")
    assert len(drawn) == AHEAD + 1
    batches.close()
    assert len(drawn) == AHEAD + 1


def test_what_goes_wrong_is_raised_at_its_own_batch() -> None:
    batches = prefetched([1, 2, 0, 4], lambda n: 1 / n)
    assert [next(batches)[1] for _ in range(2)] == [1.0, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(batches)
