"""The order of an epoch as a pure function of (seed, epoch, offset), and the processes that read ahead in it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from cmirnet_cli.errors import CmirnetError


def epoch_order(seed: int, epoch: int, size: int) -> NDArray[np.int64]:
    """A permutation of range(size) that depends on nothing but its arguments."""
    return np.random.default_rng([seed, epoch, size]).permutation(size).astype(np.int64)


@dataclass(frozen=True)
class Piece:
    """Items of one forward and backward pass.

    Attributes:
        items: of the training set.
        epoch: that they belong to, from 0.
        counts: False where they only keep a process busy that has no part of a batch.
    """

    items: list[int]
    epoch: int
    counts: bool = True


@dataclass(frozen=True)
class Share:
    """Which pieces of every batch a process computes: a batch is cut into `processes · pieces` of them, as equal as can be.

    Two processes with one piece each compute the same pieces as one process with two.

    Attributes:
        process: this one's number, from 0.
        processes: how many work on a batch.
        pieces: how many each of them computes one after the other (gradient accumulation).
    """

    process: int = 0
    processes: int = 1
    pieces: int = 1

    def of(self, batch: NDArray[np.int64], epoch: int) -> list[Piece]:
        """The pieces of a batch that this process computes: at least one, as the processes average their gradients together.

        The last batch of an epoch can have fewer samples than there are pieces. Empty pieces are left out; a process that has
        only empty ones computes the batch's first sample, which then does not count.
        """
        cut = np.array_split(batch, self.processes * self.pieces)
        own = [Piece(piece.tolist(), epoch) for piece in cut[self.process :: self.processes] if len(piece)]
        return own or [Piece(batch[:1].tolist(), epoch, counts=False)]

    def pieces_of(self, samples: int) -> int:
        """How many pieces this process computes of a batch of so many samples."""
        return len(self.of(np.arange(samples), epoch=0))


WHOLE = Share()
"""One process computes every batch in one piece."""


class EpochSampler(Sampler[Piece]):
    """The batches of one epoch or several; the last one of each is smaller where the samples do not fill it.

    Args:
        size: number of samples.
        batch_size: samples a batch, over all processes.
        seed: of the run.
        epoch: the first one, counted from 0.
        epochs: how many.
        offset: batches of the first epoch that were already taken.
        share: the part of each batch that this process computes, piece by piece.
    """

    def __init__(
        self, size: int, batch_size: int, *, seed: int, epoch: int, epochs: int = 1, offset: int = 0, share: Share = WHOLE
    ) -> None:
        self.size, self.batch_size, self.seed, self.share = size, batch_size, seed, share
        self.epochs = range(epoch, epoch + epochs)
        self.offset = offset

    def __len__(self) -> int:
        starts = (start for epoch in self.epochs for start in self._starts(epoch))
        return sum(self.share.pieces_of(min(self.batch_size, self.size - start)) for start in starts)

    def __iter__(self) -> Iterator[Piece]:
        for epoch in self.epochs:
            order = epoch_order(self.seed, epoch, self.size)
            for start in self._starts(epoch):
                yield from self.share.of(order[start : start + self.batch_size], epoch)

    def _starts(self, epoch: int) -> range:
        """Where the batches begin that are left of an epoch."""
        taken = self.offset if epoch == self.epochs[0] else 0
        return range(taken * self.batch_size, self.size, self.batch_size)


T = TypeVar("T")


class Loader(DataLoader[T]):
    """What `read` makes of each of `items`, in their order, read by `workers` processes beside this one.

    The processes live as long as the iterator. With `pinned` results wait in memory that a GPU can copy from while it computes.
    Nothing is drawn from torch's global random numbers, and Ctrl-C and SIGTERM are left to the main process.

    Raises:
        CmirnetError: while it is gone through: as `read` raised it. (torch would make a new one of the worker's traceback.)
    """

    def __init__(self, read: Callable[[Any], T], items: Iterable[Any], workers: int, *, pinned: bool = False) -> None:
        results: Dataset[Any] = _Results(read)
        generator = torch.Generator()
        super().__init__(
            results,
            batch_size=None,
            sampler=items,
            num_workers=workers,
            worker_init_fn=_leave_signals_to_main,
            generator=generator,
            pin_memory=pinned,
        )

    def __iter__(self) -> Iterator[T]:  # type: ignore[override]
        """The values; raises the first error among them."""
        for result in super().__iter__():
            if isinstance(result, CmirnetError):
                raise result
            yield result


class _Results(Dataset[Any]):
    """What `read` makes of an item, or the error that it raises."""

    def __init__(self, read: Callable[[Any], Any]) -> None:
        self._read = read

    def __getitem__(self, item: Any) -> Any:
        try:
            return self._read(item)
        except CmirnetError as error:
            return error


def _leave_signals_to_main(worker: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
