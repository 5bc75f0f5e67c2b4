"""Work ahead: the same in the same order, no further ahead than wanted, errors where they belong."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from larp_core.runtime.ahead import made_ahead


def test_results_come_in_order_from_another_thread() -> None:
    made = list(made_ahead(range(20), lambda n: (n * n, threading.get_ident()), 2))
    assert [(item, square) for item, (square, _) in made] == [(n, n * n) for n in range(20)]
    threads = {thread for _, (_, thread) in made}
    assert len(threads) == 1 and threads != {threading.get_ident()}
    assert list(made_ahead([], str, 2)) == []


def test_several_threads_work_at_once_and_results_keep_their_order() -> None:
    """Each waits for the other two; the first one to be wanted ends last."""
    together, others_done = threading.Barrier(3), threading.Semaphore(0)

    def make(n: int) -> int:
        together.wait(timeout=30)
        if n % 3:
            others_done.release()
        else:
            assert others_done.acquire(timeout=30) and others_done.acquire(timeout=30)
        return -n

    assert list(made_ahead(range(9), make, ahead=2, num_threads=3)) == [(n, -n) for n in range(9)]


@given(
    num_items=st.integers(0, 12), num_used=st.integers(0, 12), ahead=st.integers(0, 5), num_threads=st.integers(1, 3)
)
def test_no_more_is_drawn_than_a_few_ahead(num_items: int, num_used: int, ahead: int, num_threads: int) -> None:
    """Against a count of what has been used; the last one to be asked for may be in use itself."""
    drawn: list[int] = []
    made: list[int] = []

    def items() -> Iterator[int]:
        for n in range(num_items):
            drawn.append(n)
            yield n

    def make(n: int) -> str:
        made.append(n)
        return str(n)

    results = made_ahead(items(), make, ahead, num_threads)
    used = []
    for result in results if num_used else ():
        used.append(result)
        assert len(drawn) == min(num_items, len(used) + ahead)
        if len(used) == num_used:
            break
    results.close()
    assert used == [(n, str(n)) for n in range(min(num_used, num_items))]
    assert len(drawn) == (min(num_items, num_used + ahead) if num_used else 0)
    assert set(range(len(used))) <= set(made) <= set(drawn)


@pytest.mark.parametrize("num_threads", [1, 3])
def test_what_goes_wrong_is_raised_at_its_own_item(num_threads: int) -> None:
    results = made_ahead([1, 2, 0, 4, 5], lambda n: 1 / n, 2, num_threads)
    assert [next(results)[1] for _ in range(2)] == [1.0, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []


def test_closing_gives_up_what_waits_and_leaves_no_thread() -> None:
    before, started, go_on = threading.active_count(), threading.Event(), threading.Event()
    made: list[int] = []

    def make(n: int) -> int:
        if n == 1:
            started.set()
            assert go_on.wait(timeout=30)
        made.append(n)
        return n

    results = made_ahead(range(100), make, 5)
    assert next(results) == (0, 0)
    assert started.wait(timeout=30)
    threading.Timer(0.05, go_on.set).start()
    results.close()
    assert made == [0, 1]
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join()
    assert threading.active_count() == before
