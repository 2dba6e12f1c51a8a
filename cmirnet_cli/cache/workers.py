"""Work that several threads or processes share; results come in the order of the items."""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread
from types import ModuleType
from typing import TypeVar

from cmirnet_cli.errors import CacheError

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 4
"""Items for each worker that are under way or wait to be taken."""
_MOST = 61 if sys.platform == "win32" else 1_000
"""The most processes that the system can wait for."""
_KEPT = 30 << 20
"""Bytes that each process takes and frees once. From then on glibc keeps blocks up to this size for the next use. A process that never
held so much returns the memory of each mask to the system, and drawing takes nearly twice as long."""


def in_order(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """`function` of each item, in order. `workers` threads work a few items ahead, so memory stays flat; 0: this thread works."""
    if workers < 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        yield from _few_ahead(pool, lambda item: pool.submit(function, item), items, workers)


def in_order_by_processes(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """The same by processes, for work that keeps Python's lock. Function, items and results must be picklable, and not the main module's.

    The processes are new ones: a copy of this one would copy locks that its threads hold. They end when this one does, killed or not.

    Raises:
        CacheError: a process ended by itself or was killed.
    """
    workers = min(workers, _MOST)
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin) as pool:

        def submit(item: Item) -> Future[Result]:
            with _without_main():
                return pool.submit(function, item)

        try:
            yield from _few_ahead(pool, submit, items, workers)
        except BrokenProcessPool as error:
            hint = "memory may have run out; give fewer --workers"
            raise CacheError("a process that draws masks ended unexpectedly", hint=hint) from error


def _few_ahead(pool: Executor, submit: Callable[[Item], Future[Result]], items: Iterable[Item], workers: int) -> Iterator[Result]:
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(submit(item))
            if len(waiting) > _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


@contextmanager
def _without_main() -> Iterator[None]:
    """Processes that start in the block do not run the user's script again; they need nothing from it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _begin() -> None:
    """Leave Ctrl-C to the parent, do not outlive it, and keep memory that is freed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    bytearray(_KEPT)


def _end_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)
