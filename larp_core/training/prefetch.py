"""Batches made ahead by a thread, so that reading and converting mels takes place while the towers work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Drawn = TypeVar("Drawn")
Made = TypeVar("Made")

AHEAD = 2


def prefetched(draws: Iterable[Drawn], make: Callable[[Drawn], Made]) -> Generator[tuple[Drawn, Made], None, None]:
    """`(draw, make(draw))` in the order of the draws; up to `AHEAD` more are made while one is used.

    `make` must not depend on what is done with the draws before. What it raises is raised at its draw.
    """
    waiting: deque[tuple[Drawn, Future[Made]]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
        try:
            for draw in draws:
                waiting.append((draw, thread.submit(make, draw)))
                if len(waiting) > AHEAD:
                    first, made = waiting.popleft()
                    yield first, made.result()
            while waiting:
                first, made = waiting.popleft()
                yield first, made.result()
        finally:
            for _, made in waiting:
                made.cancel()
