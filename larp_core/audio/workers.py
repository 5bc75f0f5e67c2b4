"""Work on many items in a few processes, one bad item at a time: a crash in a native decoder costs that item alone."""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for_any
from typing import Any

ITEMS_PER_PROCESS = 24
"""Starting a process takes as long as about this many tracks' audio."""

WAITING_PER_PROCESS = 2
"""Items handed out and not done: enough to keep a process busy, few to be tried one by one after a crash."""

_make: Callable[[], Callable[[Any], Any]] | None = None


class Crashed(RuntimeError):
    """The process that worked on an item died."""


def map_in_processes(
    make_work: Callable[..., Callable[[Any], Any]],
    arguments: tuple[Any, ...],
    items: list[Any],
    items_per_process: int = ITEMS_PER_PROCESS,
) -> Iterator[tuple[Any, Any]]:
    """Yields `(item, make_work(*arguments)(item))` as they get done, in no fixed order.

    `make_work`, arguments, items and results must be picklable. An item whose process dies yields `Crashed` as its
    result; an exception raised by the work is raised here. Few items are worked on in this process.

    Raises:
        RuntimeError: the processes can't start at all.
    """
    num_processes = min(os.cpu_count() or 1, len(items) // items_per_process)
    if num_processes < 2:
        work = make_work(*arguments)
        yield from ((item, work(item)) for item in items)
        return
    remaining = iter(items)
    while batch := list(itertools.islice(remaining, 1)):
        suspects: list[Any] = []
        yield from _map_until_crash(make_work, arguments, itertools.chain(batch, remaining), num_processes, suspects)
        for item in suspects:
            yield item, _alone(make_work, arguments, item)


def _map_until_crash(
    make_work: Any, arguments: tuple[Any, ...], items: Iterable[Any], num_processes: int, suspects: list[Any]
) -> Iterator[tuple[Any, Any]]:
    """Puts the items that were in work when a process died into `suspects`, and ends."""
    waiting = iter(items)
    in_work: dict[Future[Any], Any] = {}
    with _pool(make_work, arguments, num_processes) as pool:
        try:
            while True:
                for item in itertools.islice(waiting, WAITING_PER_PROCESS * num_processes - len(in_work)):
                    suspects.append(item)
                    in_work[pool.submit(_call, item)] = item
                    suspects.remove(item)
                if not in_work:
                    return
                for future in wait(in_work, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    yield in_work.pop(future), result
        except BrokenProcessPool:
            suspects += in_work.values()


def _alone(make_work: Any, arguments: tuple[Any, ...], item: Any) -> Any:
    with _pool(make_work, arguments, 1) as pool:
        try:
            pool.submit(os.getpid).result()
        except BrokenProcessPool:
            raise RuntimeError(
                "worker processes can't start, see above; in a script of your own, call this below `if __name__ == "
                '"__main__":`, since each process imports the script'
            ) from None
        try:
            return pool.submit(_call, item).result()
        except BrokenProcessPool:
            return Crashed("the process that worked on it died")


def _pool(make_work: Any, arguments: tuple[Any, ...], num_processes: int) -> ProcessPoolExecutor:
    # Spawned, not forked: a fork copies the locks of polars' and Dagster's threads.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(num_processes, context, initializer=_start, initargs=(make_work, arguments))


def _start(make_work: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...]) -> None:
    global _make
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    _make = functools.cache(functools.partial(make_work, *arguments))


def _exit_with_parent() -> None:
    """A step killed with `kill -9` can't stop its processes: they would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait_for_any([parent.sentinel])
    os._exit(1)


def _call(item: Any) -> Any:
    assert _make is not None
    return _make()(item)
