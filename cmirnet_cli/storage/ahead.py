"""Threads that work ahead, so that computing does not wait for a network. The order stays, and memory is bounded."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from functools import cache, partial
from queue import Queue
from threading import Event, Thread
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = 16
"""Files that are read, written or removed at the same time, and the most that lie ready."""


def read_ahead(items: Iterable[Item], read: Callable[[Item], Result], ahead: int = THREADS) -> Iterator[Result]:
    """`map(read, items)` by THREADS threads, which work at most `ahead` items ahead. All calls share them; they end with this process."""
    tasks = _workers(os.getpid())
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            future: Future[Result] = Future()
            tasks.put((future, partial(read, item)))
            waiting.append(future)
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


@cache
def _workers(process: int) -> Queue[tuple[Future[Any], Callable[[], Any]]]:
    """The tasks of this process's threads. The same threads serve all calls, because drivers keep a connection for each thread."""
    tasks: Queue[tuple[Future[Any], Callable[[], Any]]] = Queue()

    def work() -> None:
        while True:
            future, read = tasks.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(read())
                except BaseException as error:
                    future.set_exception(error)
            del future, read  # or a waiting thread would keep a picture in memory

    for _ in range(THREADS):
        Thread(target=work, daemon=True).start()
    return tasks


def in_background(items: Iterator[Item]) -> Iterator[Item]:
    """The items of an iterator, which a thread goes through, at most THREADS items ahead."""
    ready: Queue[tuple[Item] | BaseException | None] = Queue(THREADS)
    stopped = Event()

    def work() -> None:
        last: BaseException | None = None
        try:
            for item in items:
                ready.put((item,))
                if stopped.is_set():
                    return
        except BaseException as error:
            last = error
        ready.put(last)

    Thread(target=work, daemon=True).start()
    try:
        while isinstance(taken := ready.get(), tuple):
            yield taken[0]
        if taken is not None:
            raise taken
    finally:
        stopped.set()
        with suppress(Exception):
            ready.get_nowait()  # makes room, so that a thread waiting to put an item in goes on and stops
