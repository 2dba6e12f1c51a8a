"""Time and memory of a running training."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch

from cmirnet_cli.engine.machine import peak_memory_mib


@dataclass
class Stopwatch:
    """Splits the time of a step into waiting for data and computing."""

    started: float = field(default_factory=time.perf_counter)
    waited: float = 0.0

    def data_arrived(self) -> None:
        """The batch is here."""
        self.waited = time.perf_counter() - self.started

    def lap(self) -> tuple[float, float]:
        """Seconds since the last lap and the share of them spent waiting; starts the next lap."""
        now = time.perf_counter()
        seconds, waited = now - self.started, self.waited
        self.started, self.waited = now, 0.0
        return seconds, waited / seconds


def most_held_mib(device: torch.device) -> float:
    """The most memory that was held so far, in MiB: of the GPU where there is one, else of this process."""
    return torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else peak_memory_mib()
