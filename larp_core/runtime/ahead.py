"""Work ahead in threads: what is wanted next is made while what was made before is being used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def made_ahead(
    items: Iterable[Item], make: Callable[[Item], Made], ahead: int, num_threads: int = 1
) -> Generator[tuple[Item, Made], None, None]:
    """Yields `(item, make(item))` in the order of the items; up to `ahead` more are made while one is used.

    Items are drawn by the thread that asks for results, each when the result `ahead` places before it is asked for.
    `make` must not depend on what is done with the results before. What it raises is raised at its item, and ends the
    work: as where the generator is closed, what is being made is waited for, and what waits is given up.
    """
    waiting: deque[tuple[Item, Future[Made]]] = deque()
    with ThreadPoolExecutor(num_threads, thread_name_prefix="ahead") as threads:
        try:
            for item in items:
                waiting.append((item, threads.submit(make, item)))
                if len(waiting) > ahead:
                    first, made = waiting.popleft()
                    yield first, made.result()
            while waiting:
                first, made = waiting.popleft()
                yield first, made.result()
        finally:
            for _, made in waiting:
                made.cancel()
