"""Reading ahead in other processes, whose errors arrive as they were raised."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from cmirnet_cli.errors import CmirnetError

T = TypeVar("T")


class Loader(DataLoader[T]):
    """What `read` makes of each of `items`, in their order, read by `workers` processes beside this one.

    Nothing is drawn from torch's global random numbers, and Ctrl-C and SIGTERM are left to the main process.

    Raises:
        CmirnetError: while it is gone through: as `read` raised it. (torch would make a new one of the worker's traceback.)
    """

    def __init__(self, read: Callable[[Any], T], items: Iterable[Any], workers: int) -> None:
        generator = torch.Generator()
        told: Dataset[Any] = _Told(read)
        super().__init__(
            told, batch_size=None, sampler=items, num_workers=workers, worker_init_fn=_leave_signals_to_main, generator=generator
        )

    def __iter__(self) -> Iterator[T]:  # type: ignore[override]
        """The values; raises the first error among them."""
        for found in super().__iter__():
            if isinstance(found, CmirnetError):
                raise found
            yield found


class _Told(Dataset[Any]):
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
