"""How much arithmetic an answer takes, and how much a device can do: their ratio says how far there is to go."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch.utils.flop_counter import FlopCounterMode

from cmirnet_cli.benchmarks.timing import side_by_side
from cmirnet_cli.engine.devices import finish_on, has_bf16

GIGA = 1e9
SIDES = {"cuda": 8192}
"""Of the square matrices that are multiplied, by type of device."""
SIDE = 2048
"""On any other device."""
ROUNDS = 3


def gflops_of(compute: Callable[[], object]) -> float:
    """10⁹ floating-point operations of convolutions and matrix products, attention's too (a multiply-add is two)."""
    with FlopCounterMode(display=False) as counter:
        compute()
    return float(counter.get_total_flops()) / GIGA


def matrix_product_gflops(device: torch.device) -> Mapping[str, float]:
    """10⁹ operations a second that a device reaches in the product of two large matrices, in each number format that it computes in."""
    formats = {"fp32": torch.float32, **({"bf16": torch.bfloat16} if has_bf16(device) else {})}
    return {name: _reached(device, dtype) for name, dtype in formats.items()}


def _reached(device: torch.device, dtype: torch.dtype) -> float:
    side = SIDES.get(device.type, SIDE)
    matrix = torch.randn(side, side, device=device).to(dtype)

    def multiply() -> None:
        torch.mm(matrix, matrix)
        finish_on(device)

    multiply()
    timing = side_by_side({"multiply": multiply}, 1, ROUNDS)["multiply"]
    return 2 * side**3 / GIGA * timing.per_second
