"""Number formats that a device is slow in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmirnet_cli.console import console

if TYPE_CHECKING:
    import torch


def warn_if_slow(precision: str, device: torch.device) -> None:
    """Say that a device without instructions for bf16 is faster in fp32, where bf16 is what it is to compute in."""
    from cmirnet_cli.engine.devices import has_bf16

    if precision == "bf16" and not has_bf16(device):
        console.warn(f"{device} has no instructions for bf16 here and is slower in it than in fp32, often many times: leave bf16 out")
