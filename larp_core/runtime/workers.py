"""Work on many items in a few processes, one bad item at a time: a crash in a native decoder costs that item alone."""

from __future__ import annotations

import copy
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_any
from multiprocessing.process import BaseProcess
from typing import Any

from larp_core.runtime import limits
from larp_core.runtime.freed_memory import keep_freed_memory

ITEMS_PER_PROCESS = 24
"""Starting a process takes as long as about this many tracks' audio."""

WAITING_PER_PROCESS = 2
"""Items handed out and not done: enough to keep a process busy while results are being looked at."""

ISOLATES = True
"""False where few items that should be isolated are not: for tests, which would mostly start processes."""

SECONDS_TO_LEAVE = 5.0

READY, RESULT, ERROR, DIED = "ready", "result", "error", "died"


class Crashed(RuntimeError):
    """The process that worked on an item died. The message says how."""


def map_in_processes(
    make_work: Callable[..., Callable[[Any], Any]],
    arguments: tuple[Any, ...],
    items: Iterable[Any],
    items_per_process: int | None = None,
    *,
    isolated: bool = False,
) -> Iterator[tuple[Any, Any]]:
    """Yields `(item, make_work(*arguments)(item))` as they get done, in no fixed order.

    `make_work`, arguments, items and results must be picklable. An item whose process dies yields `Crashed` as its
    result; an exception raised by the work is raised here. Few items are worked on in this process, unless they are to
    be `isolated` from it because they may bring it down. A generator is asked for items as they are handed out.

    Raises:
        RuntimeError: the processes can't start at all.
    """
    items_per_process = items_per_process or ITEMS_PER_PROCESS
    waiting = _Waiting(items, at_once=num_cores() * items_per_process)
    num_processes = len(waiting.ahead) // items_per_process
    if num_processes < 2 and not (waiting and isolated and ISOLATES):
        work = make_work(*arguments)
        while waiting:
            item = waiting.take()
            yield item, work(item)
        return
    yield from _map_apart(make_work, arguments, waiting, max(num_processes, 1))


def num_cores() -> int:
    """Processor cores that this process may use: a container or `taskset` can leave it fewer than there are."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else sys.maxsize
    return min(os.cpu_count() or 1, allowed)


def _map_apart(
    make_work: Any, arguments: tuple[Any, ...], waiting: _Waiting, num_processes: int
) -> Iterator[tuple[Any, Any]]:
    workers: dict[Any, _Worker] = {}
    try:
        for _ in range(num_processes):
            _hire(workers, make_work, arguments, waiting)
        while workers:
            for connection in wait_for_any(list(workers)):
                worker = workers[connection]
                kind, value = worker.receive()
                if kind == READY:
                    worker.is_ready = True
                    continue
                item = worker.items.popleft()
                if kind == DIED:
                    del workers[connection]
                    waiting.ahead.extendleft(reversed(worker.items))
                    if waiting:
                        _hire(workers, make_work, arguments, waiting)
                elif kind == ERROR:
                    raise value
                else:
                    worker.give(waiting)
                    if not worker.items:
                        workers.pop(connection).dismiss()
                yield item, value
    finally:
        for worker in workers.values():
            worker.process.terminate()
            worker.dismiss()


class _Waiting:
    """Items that have not been handed out; `ahead` are those that have been asked for, `at_once` of them at first."""

    def __init__(self, items: Iterable[Any], at_once: int) -> None:
        self._items = iter(items)
        self.ahead = deque(islice(self._items, at_once))

    def __bool__(self) -> bool:
        if not self.ahead:
            self.ahead.extend(islice(self._items, 1))
        return bool(self.ahead)

    def take(self) -> Any:
        """The next one; only where there is one."""
        return self.ahead.popleft()


@dataclass
class _Worker:
    """A process and the items that it has been given, the one in work first."""

    process: BaseProcess
    connection: Connection
    items: deque[Any] = field(default_factory=deque)
    is_ready: bool = False

    def give(self, waiting: _Waiting) -> None:
        while waiting and len(self.items) < WAITING_PER_PROCESS:
            self.items.append(waiting.take())
            try:
                self.connection.send(self.items[-1])
            except OSError:  # it has died, which the next look at its connection tells
                return

    def receive(self) -> tuple[str, Any]:
        try:
            kind, value = self.connection.recv()
        except (EOFError, OSError):
            return DIED, self.bury()
        return kind, value

    def dismiss(self) -> None:
        self.connection.close()
        self.process.join(SECONDS_TO_LEAVE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    def bury(self) -> Crashed:
        """How a dead process ended. Raises RuntimeError where it had not even started."""
        self.dismiss()
        if not self.is_ready:
            raise RuntimeError(
                "worker processes can't start, see above; in a script of your own, call this below `if __name__ == "
                '"__main__":`, since each process imports the script'
            )
        code = self.process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return Crashed(f"the process that worked on it died ({how})")


def _hire(workers: dict[Any, _Worker], make_work: Any, arguments: tuple[Any, ...], waiting: _Waiting) -> None:
    # Spawned, not forked: a fork copies the locks of polars' and Dagster's threads.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, make_work, arguments), daemon=True)
    process.start()
    theirs.close()  # so that its death closes the connection
    worker = workers[ours] = _Worker(process, ours)
    worker.give(waiting)


def _serve(connection: Connection, make_work: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...]) -> None:
    """A worker process: results of the items in the order in which they come, until the connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt goes to the whole group, and the parent ends this one
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    limits.arm()
    keep_freed_memory()
    connection.send((READY, None))
    try:
        work = None
        while True:
            item = connection.recv()
            try:
                work = work or make_work(*arguments)
                reply = (RESULT, work(item))
            except Exception as error:
                reply = (ERROR, _portable(error))
            connection.send(reply)
    except (EOFError, OSError):
        return


def _portable(error: Exception) -> Exception:
    """The error itself, with the place where it was raised as a note, or its text where it can't be pickled."""
    place = traceback.format_exc()
    try:
        portable = copy.copy(error)  # fails where another process could not put it together again
    except TypeError:
        return RuntimeError(place)
    portable.add_note(place)
    return portable


def _exit_with_parent() -> None:
    """A step killed with `kill -9` can't stop its processes: they would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait_for_any([parent.sentinel])
    os._exit(1)
