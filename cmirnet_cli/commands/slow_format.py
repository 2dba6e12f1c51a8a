"""Number formats that a device is slow in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmirnet_cli.console import console

if TYPE_CHECKING:
    import torch


def warn_if_slow(precision: str, device: torch.device) -> None:
    """Say that a device only emulates bf16, where that is what it is to compute in."""
    from cmirnet_cli.engine.devices import has_bf16

    if precision == "bf16" and not has_bf16(device):
        console.warn(f"{device} has no instructions for bf16 here and emulates it, a CPU many times slower than fp32: leave bf16 out")
