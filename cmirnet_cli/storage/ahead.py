"""Threads that work ahead, so that whoever computes does not wait for a network. Order stays, memory is bounded."""

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
"""Files that are read or written at the same time, and the most that lie ready."""


def read_ahead(items: Iterable[Item], read: Callable[[Item], Result], ahead: int = THREADS) -> Iterator[Result]:
    """`map(read, items)` by THREADS threads, which are at most so many items ahead. They are shared by all, and end with this process."""
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
    """What the threads of this process are to do. The same threads serve all, for drivers keep a connection for each."""
    tasks: Queue[tuple[Future[Any], Callable[[], Any]]] = Queue()

    def work() -> None:
        while True:
            future, read = tasks.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(read())
                except BaseException as error:
                    future.set_exception(error)
            del future, read  # or a thread that waits would keep a picture

    for _ in range(THREADS):
        Thread(target=work, daemon=True).start()
    return tasks


def in_background(items: Iterator[Item], ahead: int = THREADS) -> Iterator[Item]:
    """The items of an iterator that a thread goes through, at most so many items ahead."""
    ready: Queue[tuple[Item] | BaseException | None] = Queue(ahead)
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
            ready.get_nowait()  # whoever waits to put something in goes on and sees that it may stop
