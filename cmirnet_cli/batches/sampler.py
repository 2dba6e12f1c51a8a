"""The order of an epoch as a pure function of (seed, epoch, offset), so that training can resume anywhere."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler


def epoch_order(seed: int, epoch: int, size: int) -> NDArray[np.int64]:
    """A permutation of range(size) that depends on nothing but its arguments."""
    return np.random.default_rng([seed, epoch, size]).permutation(size).astype(np.int64)


class EpochSampler(Sampler[list[int]]):
    """The whole batches of one epoch, from the `offset`-th on; a last batch that is not full is left out.

    Args:
        size: number of samples.
        batch_size: samples a batch.
        seed: of the run.
        epoch: counted from 0.
        offset: batches of this epoch that were already taken.
    """

    def __init__(self, size: int, batch_size: int, *, seed: int, epoch: int, offset: int = 0) -> None:
        self.order = epoch_order(seed, epoch, size)
        self.batch_size = batch_size
        self.offset = offset

    def __len__(self) -> int:
        return len(self.order) // self.batch_size - self.offset

    def __iter__(self) -> Iterator[list[int]]:
        for batch in range(self.offset, self.offset + len(self)):
            yield self.order[batch * self.batch_size : (batch + 1) * self.batch_size].tolist()
