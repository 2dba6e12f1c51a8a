"""Threads that work ahead, so that whoever computes does not wait for a network. Order stays, memory is bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from queue import Queue
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = 16
"""Files that are read or written at the same time, and the most that lie ready."""


def read_ahead(items: Iterable[Item], read: Callable[[Item], Result], threads: int = THREADS) -> Iterator[Result]:
    """`map(read, items)` with so many threads, each of which is at most as many items ahead. They end with this process."""
    tasks: Queue[tuple[Item, Future[Result]] | None] = Queue()

    def work() -> None:
        while (task := tasks.get()) is not None:
            item, future = task
            try:
                future.set_result(read(item))
            except BaseException as error:
                future.set_exception(error)

    workers: list[Thread] = []
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            if len(workers) < threads:
                workers.append(Thread(target=work, daemon=True))
                workers[-1].start()
            future: Future[Result] = Future()
            tasks.put((item, future))
            waiting.append(future)
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        while not tasks.empty():
            with suppress(Exception):
                tasks.get_nowait()
        for _ in workers:
            tasks.put(None)


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
