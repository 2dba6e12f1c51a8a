"""The photographs of a chunk, read ahead by several threads, so that the network does not wait for the storage. In the chunk's order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Event, Thread
from typing import TypeVar

from cmirnet_cli.engine.bulk.chunk import BulkPhoto, Chunk
from cmirnet_cli.engine.prediction.photos import photo_bytes
from cmirnet_cli.errors import ImageError, StorageError
from cmirnet_cli.storage.reading import NotThereError, read_whole
from cmirnet_cli.storage.uris import is_uri, is_web, shown

Item = TypeVar("Item")
Result = TypeVar("Result")

LARGEST_FILE = 1 << 30
"""Bytes of an image file that is read."""
THREADS = 16
"""Files that are read at the same time, and the most that lie ready."""


@dataclass(frozen=True)
class StoredPhoto:
    """An image file's content.

    Attributes:
        name: the relative path that its results are filed under.
        shown: where it is, fit to be seen.
        expressions: what to find in it.
        content: its bytes, or why it cannot be read.
    """

    name: str
    shown: str
    expressions: tuple[str, ...]
    content: bytes | ImageError


def read_photos(chunk: Chunk) -> Iterator[StoredPhoto]:
    """The photographs of a chunk in its order.

    Raises:
        StorageError: the storage refuses, breaks off or does not answer. A single file that is not there, and whatever happens to an
            address on the web, is that photograph's problem alone.
    """
    from cmirnet_cli.engine.bulk.parquet import parquet_photos
    from cmirnet_cli.engine.bulk.tar import tar_photos

    own = chunk.container
    if own is None:
        return read_ahead(chunk.photos, stored)
    return tar_photos(own) if own.rows is None else parquet_photos(own)


def stored(photo: BulkPhoto) -> StoredPhoto:
    """An image file on this machine or in storage, with its content."""
    where = shown(photo.uri)
    try:
        content: bytes | ImageError = _content(photo.uri, where)
    except ImageError as problem:
        content = problem
    return StoredPhoto(photo.name, where, photo.expressions, content)


def _content(uri: str, where: str) -> bytes:
    if not is_uri(uri):
        return photo_bytes(Path(uri))
    try:
        content = read_whole(uri, LARGEST_FILE)
    except StorageError as error:
        if is_web(uri) or isinstance(error, NotThereError):
            raise ImageError(str(error), hint=error.hint) from error
        raise
    if len(content) > LARGEST_FILE:
        raise too_large(where)
    return content


def too_large(where: str) -> ImageError:
    """The error about a file that is not read because of its size."""
    return ImageError(f"{where} has more than {LARGEST_FILE:,} bytes", hint="leave it out, or make it smaller")


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
