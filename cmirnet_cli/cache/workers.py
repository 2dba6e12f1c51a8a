"""Work that threads or processes share, its results in order."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TypeVar

from cmirnet_cli.errors import CacheError

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 4
_KEPT = 30 << 20
"""Bytes that are taken and freed once. Then glibc keeps blocks of this size for the next use. A process that held nothing so large gives
the memory of each mask back to the system, and drawing takes nearly twice as long."""


def in_order(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """`function` of each item, in order; `workers` threads work at most a few items ahead, so memory stays flat."""
    if workers < 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        yield from _few_ahead(pool, function, items, workers)


def in_order_by_processes(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """The same by processes, for work that keeps Python's lock; function, items and results must be picklable.

    The processes are new ones, as a copy of this one would copy locks that its threads hold. They end when this one does, killed or not.

    Raises:
        CacheError: a process ended by itself, was killed, or could not start as the user's script was started in it once more.
    """
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin) as pool:
        try:
            yield from _few_ahead(pool, function, items, workers)
        except BrokenProcessPool as error:
            hint = 'if memory ran out, give fewer --workers; a script of your own must start below `if __name__ == "__main__":`'
            raise CacheError("a worker process ended unexpectedly", hint=hint) from error


def _few_ahead(pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > _AHEAD * workers:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _begin() -> None:
    """Leave Ctrl-C to the parent, do not outlive it, and keep memory that is freed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    bytearray(_KEPT)


def _end_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)
