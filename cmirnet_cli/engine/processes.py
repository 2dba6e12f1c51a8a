"""Several processes that share one list of images: each takes its part, and the parts are put together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")

LONGEST_WAIT = timedelta(days=30)
"""How long a process that has finished waits for the others; the usual half an hour may be too short for a long list."""


@dataclass(frozen=True)
class Process:
    """One of `count` processes, the `rank`-th of them from 0."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that does what is done once."""
        return self.rank == 0

    def part(self, items: Sequence[Item]) -> Sequence[Item]:
        """Every `count`-th item, so that the parts are alike; together they are all items."""
        return items[self.rank :: self.count]

    def wait(self) -> None:
        """Until all processes have come here."""
        if self.count > 1:
            from torch import distributed

            distributed.barrier()

    def gather(self, items: Sequence[Item]) -> list[Item]:
        """The items of all processes, once all have come here."""
        if self.count == 1:
            return list(items)
        from torch import distributed

        parts: list[Sequence[Item]] = [()] * self.count
        distributed.all_gather_object(parts, items)
        return [item for part in parts for item in part]

    def device(self, name: str) -> torch.device:
        """As `pick_device`; where several processes share a machine's GPUs and no number is given, each takes the next one."""
        import torch

        from cmirnet_cli.engine.devices import pick_device

        device = pick_device(name)
        if self.count > 1 and device == torch.device("cuda"):
            return torch.device("cuda", int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
        return device


def starts_first() -> bool:
    """Whether this process is the first of those that a launcher started, or the only one. No process is waited for."""
    return os.environ.get("RANK", "0") == "0"


def restart_warning() -> str | None:
    """What is wrong with how torchrun was started, if it is to start processes again: they may then find the addresses of the dead ones.

    torchrun (of torch 2.14) keeps one store for all attempts unless told otherwise, and what the processes wrote there at first stays.
    """
    restarts, shared = os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0"), os.environ.get("TORCHELASTIC_USE_AGENT_STORE")
    if restarts == "0" or shared != "True" or os.environ.get("WORLD_SIZE", "1") == "1":
        return None
    fix = "set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in its environment"
    return f"--max-restarts {restarts}: processes that torchrun starts again may wait forever; {fix}"


ALONE = Process()
"""One process that does everything."""


@contextmanager
def joined() -> Iterator[Process]:
    """This process among those that a launcher such as torchrun started; alone if there is none.

    They talk over the CPU, to wait for each other and to exchange a few words, so GPUs need no common library.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    from torch import distributed

    distributed.init_process_group("gloo", timeout=LONGEST_WAIT)
    try:
        yield Process(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
