"""Memory that is used again and again: filling memory that is fresh from the system takes several times as long."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class Workspace:
    """Room for intermediate values. Threads may share it: each finds its own room, and as much is kept as was used at one time."""

    def __init__(self) -> None:
        self._free: deque[Tensor] = deque()

    @contextmanager
    def like(self, example: Tensor, count: int) -> Iterator[Tensor]:
        """So many numbers, of any value, of the example's dtype and on its device; nobody else uses them meanwhile."""
        try:
            room = self._free.pop()
        except IndexError:
            room = torch.empty(0)
        if room.numel() < count or room.device != example.device or room.dtype != example.dtype:
            with torch.inference_mode(False):  # a tensor made inside could not be written to outside
                room = torch.empty(count, dtype=example.dtype, device=example.device)
        try:
            yield room[:count]
        finally:
            self._free.append(room)
