"""What runs on the cluster: the process that lists pieces, the actors that do them, and the board that knows how far they are.

Whatever they say to each other and to the command is pickled: errors come back as errors, with their hint and exit code.
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

TOLD_EVERY = 0.5
"""Seconds between two words about how far a piece is."""

Piece_contra = TypeVar("Piece_contra", contravariant=True)
Report_co = TypeVar("Report_co", covariant=True)


class Worker(Protocol[Piece_contra, Report_co]):
    """Does piece after piece."""

    def __call__(self, piece: Piece_contra, advance: Callable[[int], object], *, again: bool) -> Report_co:
        """Do a piece and report. `advance` is called with how many more images are done; `again`: an earlier attempt died."""


class Work(Protocol[Piece_contra, Report_co]):
    """What is to be done with each piece. It can be pickled, and is small."""

    def begin(self, device: str) -> Worker[Piece_contra, Report_co]:
        """Load the model onto a device. This happens in the actor, in a folder of the same name as that of the command."""

    def describe(self, piece: Piece_contra) -> str:
        """A piece in a few words, such as the names of its first and last image."""


@dataclass(frozen=True)
class Listed:
    """A piece, and its place among all."""

    number: int
    piece: Any


@dataclass(frozen=True)
class Returned:
    """What listing the pieces returned, after the last one."""

    value: object


@dataclass(frozen=True)
class Raised:
    """An error, to be raised by the command."""

    error: Exception


@dataclass(frozen=True)
class GivenUp:
    """A piece in which the process died too often."""

    number: int
    described: str


@dataclass(frozen=True)
class Done:
    """A piece that is done, with so many images."""

    number: int
    images: int
    report: Any


def pack(said: object) -> bytes:
    """What is said, pickled. Of an error that cannot be pickled or read again, which those of some libraries cannot, its words."""
    if not isinstance(said, Raised):
        return pickle.dumps(said)
    try:
        pickle.loads(packed := pickle.dumps(said))
        return packed
    except Exception:
        return pickle.dumps(Raised(RuntimeError(f"{type(said.error).__name__}: {said.error}")))


def listed(pieces: Callable[[], Generator[Any, None, object]], board: Any, folder: str) -> Iterator[bytes]:
    """All pieces as they are listed, no further ahead than the board allows; then what the listing returned, or why it broke off."""
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
    """Knows, of each piece that is not done, how often it was begun and how many of its images are done.

    Should its process die, another one begins with an empty board, and the command tells it again how many pieces are done.

    Args:
        ahead: how many pieces may be listed that are not done.
    """

    def __init__(self, ahead: int) -> None:
        self._ahead = ahead
        self._done = 0
        self._moved = asyncio.Condition()
        self._begun: Counter[int] = Counter()
        self._images: dict[int, int] = {}

    async def wait_for_room(self, number: int) -> None:
        """Until the piece of this number may be listed."""
        async with self._moved:
            await self._moved.wait_for(lambda: number < self._done + self._ahead)

    async def begin(self, number: int) -> int:
        """Begin a piece: which attempt this is, from 1."""
        self._begun[number] += 1
        self._images[number] = 0
        return self._begun[number]

    async def tell(self, number: int, images: int) -> None:
        """So many images of a piece are done."""
        if number in self._images:
            self._images[number] = images

    async def forget(self, numbers: Sequence[int], done: int) -> int:
        """Forget pieces that are done, as are `done` in all; how many images are done of those that are not."""
        for number in numbers:
            self._begun.pop(number, None)
            self._images.pop(number, None)
        async with self._moved:
            self._done = done
            self._moved.notify_all()
        return sum(self._images.values())


class Actor:
    """Holds the model and does pieces. The model is loaded for the first one, so that an error about it is an answer like any other."""

    def __init__(self, work: Work[Any, Any], board: Any, device: str, folder: str, attempts: int, version: str) -> None:
        self.work, self.board, self.device, self.folder, self.attempts, self.version = work, board, device, folder, attempts, version
        self.worker: Worker[Any, Any] | None = None

    def __call__(self, batch: Mapping[str, Sequence[bytes]]) -> Mapping[str, list[bytes]]:
        """Answer rows of Ray Data."""
        return {"row": [pack(self.answer(pickle.loads(row))) for row in batch["row"]]}

    def answer(self, said: object) -> object:
        """Do a piece. Anything else goes on to the command."""
        import ray

        if not isinstance(said, Listed):
            return said
        attempt = ray.get(self.board.begin.remote(said.number))
        if attempt > self.attempts:
            return GivenUp(said.number, self.work.describe(said.piece))
        images, told = 0, time.monotonic()

        def advance(more: int) -> None:
            nonlocal images, told
            images += more
            if time.monotonic() - told >= TOLD_EVERY:
                told = time.monotonic()
                self.board.tell.remote(said.number, images)

        try:
            if self.worker is None:
                self.worker = self.begin()
            report = self.worker(said.piece, advance, again=attempt > 1)
        except Exception as error:
            return _raised(error)
        return Done(said.number, images, report)

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
    """Make relative paths mean what they mean to the command."""
    try:
        os.chdir(folder)
    except OSError as error:
        hint = "run the command in a folder that all machines of the cluster have"
        raise CmirnetError(f"{socket.gethostname()} has no folder {folder}: {error.strerror}", hint=hint) from error


def _raised(error: Exception) -> Raised:
    """An error that tells, with --traceback, where on the cluster it was."""
    if hasattr(error, "add_note"):
        error.add_note("".join(traceback.format_exception(error)))
    return Raised(error)
