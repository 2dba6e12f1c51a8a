"""The memory of a running training."""

from __future__ import annotations

import torch

from cmirnet_cli.engine.machine import peak_memory_mib


def most_held_mib(device: torch.device) -> float:
    """The most memory that was held so far, in MiB: of the GPU where there is one, else of this process."""
    return torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else peak_memory_mib()
