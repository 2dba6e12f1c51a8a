"""What runs on the cluster: the process that lists pieces, the actors that work on them, and the board that knows their progress.

Messages between them and to the command are pickled. Errors come back as errors, with their hint and exit code.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import time
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol, TypeVar

from cmirnet_cli import __version__
from cmirnet_cli.errors import CmirnetError

PROGRESS_EVERY = 0.5
"""Seconds between two reports of a piece's progress."""

Piece_contra = TypeVar("Piece_contra", contravariant=True)
Report_co = TypeVar("Report_co", covariant=True)


class Worker(Protocol[Piece_contra, Report_co]):
    """Works on piece after piece."""

    def __call__(self, piece: Piece_contra, advance: Callable[[int], object], *, again: bool) -> Report_co:
        """Work on a piece and report. `advance` is called with how many more images are done; `again`: an earlier attempt died."""


class Work(Protocol[Piece_contra, Report_co]):
    """The work on each piece. It is small and can be pickled."""

    def begin(self, device: str) -> Worker[Piece_contra, Report_co]:
        """Load the model onto a device. This happens in the actor, in a folder of the same name as that of the command."""

    def describe(self, piece: Piece_contra) -> str:
        """A piece in a few words, such as the names of its first and last image."""


@dataclass(frozen=True)
class Listed:
    """A message: a piece, and its place among all."""

    number: int
    piece: Any


@dataclass(frozen=True)
class Returned:
    """A message after the last piece: what listing the pieces returned."""

    value: object


@dataclass(frozen=True)
class Raised:
    """A message: an error that the command raises."""

    error: Exception


@dataclass(frozen=True)
class GivenUp:
    """A message: the process died too often on a piece."""

    number: int
    described: str


@dataclass(frozen=True)
class Done:
    """A message: a piece is done, and how many images it had."""

    number: int
    images: int
    report: Any


def pack(message: object) -> bytes:
    """A message, pickled. Some errors of libraries cannot be pickled or unpickled: of these, only the text."""
    if not isinstance(message, Raised):
        return pickle.dumps(message)
    try:
        pickle.loads(packed := pickle.dumps(message))
        return packed
    except Exception:
        return pickle.dumps(Raised(RuntimeError(f"{type(message.error).__name__}: {message.error}")))


def listed(pieces: Callable[[], Generator[Any, None, object]], board: Any, folder: str) -> Iterator[bytes]:
    """All pieces as they are listed, no further ahead than the board allows; then what the listing returned, or why it failed."""
    import ray

    try:
        _enter(folder)
        listing = pieces()
        for number in count():
            ray.get(board.wait_for_room.remote(number))
            yield pack(Listed(number, next(listing)))
    except StopIteration as end:
        yield pack(Returned(end.value))
    except Exception as error:
        yield pack(_raised(error))


class Board:
    """Knows, for each unfinished piece, how often it was begun and how many of its images are done.

    If its process dies, a new one begins with an empty board, and the command tells it how many pieces are done.

    Args:
        ahead: how many unfinished pieces may be listed.
    """

    def __init__(self, ahead: int) -> None:
        self._ahead = ahead
        self._done = 0
        self._moved = asyncio.Condition()
        self._begun: Counter[int] = Counter()
        self._images: dict[int, int] = {}

    async def wait_for_room(self, number: int) -> None:
        """Wait until the piece with this number may be listed."""
        async with self._moved:
            await self._moved.wait_for(lambda: number < self._done + self._ahead)

    async def begin(self, number: int) -> int:
        """Begin a piece; returns which attempt this is, from 1."""
        self._begun[number] += 1
        self._images[number] = 0
        return self._begun[number]

    async def note(self, number: int, images: int) -> None:
        """Note how many images of a piece are done."""
        if number in self._images:
            self._images[number] = images

    async def forget(self, numbers: Sequence[int], done: int) -> int:
        """Forget pieces that are done, of `done` in all; returns how many images of unfinished pieces are done."""
        for number in numbers:
            self._begun.pop(number, None)
            self._images.pop(number, None)
        async with self._moved:
            self._done = done
            self._moved.notify_all()
        return sum(self._images.values())


class Actor:
    """Holds the model and works on pieces. It loads the model for the first one, so that an error about it is a message like any other."""

    def __init__(self, work: Work[Any, Any], board: Any, device: str, folder: str, attempts: int, version: str) -> None:
        self.work, self.board, self.device, self.folder, self.attempts, self.version = work, board, device, folder, attempts, version
        self.worker: Worker[Any, Any] | None = None

    def __call__(self, batch: Mapping[str, Sequence[bytes]]) -> Mapping[str, list[bytes]]:
        """Turn rows of Ray Data, each with a message, into rows with the answers."""
        return {"row": [pack(self.answer(pickle.loads(row))) for row in batch["row"]]}

    def answer(self, message: object) -> object:
        """Work on a piece. Any other message goes on to the command."""
        import ray

        if not isinstance(message, Listed):
            return message
        attempt = ray.get(self.board.begin.remote(message.number))
        if attempt > self.attempts:
            return GivenUp(message.number, self.work.describe(message.piece))
        images, noted = 0, time.monotonic()

        def advance(more: int) -> None:
            nonlocal images, noted
            images += more
            if time.monotonic() - noted >= PROGRESS_EVERY:
                noted = time.monotonic()
                self.board.note.remote(message.number, images)

        try:
            if self.worker is None:
                self.worker = self.begin()
            report = self.worker(message.piece, advance, again=attempt > 1)
        except Exception as error:
            return _raised(error)
        return Done(message.number, images, report)

    def begin(self) -> Worker[Any, Any]:
        """Load the model, in the folder of the command.

        Raises:
            CmirnetError: this machine has another version of this program, no such folder, or no such model.
        """
        if self.version != __version__:
            hint = "install the same version on all machines of the cluster"
            raise CmirnetError(f"{socket.gethostname()} has cmirnet {__version__}, and the command has {self.version}", hint=hint)
        _enter(self.folder)
        try:
            return self.work.begin(self.device)
        except CmirnetError as error:
            hint = "every machine of the cluster reads WEIGHTS itself: give a folder on a disk that all of them share, or a hub id"
            raise type(error)(f"{error.message} (on {socket.gethostname()})", f"{error.hint}; {hint}" if error.hint else hint) from error


def _enter(folder: str) -> None:
    """Change to the command's folder, so that relative paths mean the same here."""
    try:
        os.chdir(folder)
    except OSError as error:
        hint = "run the command in a folder that all machines of the cluster have"
        raise CmirnetError(f"{socket.gethostname()} has no folder {folder}: {error.strerror}", hint=hint) from error


def _raised(error: Exception) -> Raised:
    """An error, with a note for --traceback that shows where on the cluster it was raised."""
    if hasattr(error, "add_note"):
        error.add_note("".join(traceback.format_exception(error)))
    return Raised(error)
