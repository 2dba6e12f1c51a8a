"""Several ways of doing the same, timed in one process and by turns, and how much arithmetic a device could do in that time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from cmirnet_cli.engine.devices import finish_on, has_bf16

SHORTEST = 0.25
"""Seconds: shorter turns are decided by what else the machine does."""

GIGA = 1e9
SIDES = {"cuda": 8192}
"""Rows of the square matrices that are multiplied, by type of device."""
SIDE = 2048
"""On any other device."""
ROUNDS = 3

Advance: TypeAlias = Callable[[int], None]
Progress: TypeAlias = Callable[[str, int], AbstractContextManager[Advance]]
"""Opened with a label and the number of items; it yields what is called after each item."""


@dataclass(frozen=True)
class Spread:
    """The middle one of several measurements, the lowest and the highest."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Of at least one measurement."""
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True)
class Timing:
    """How long one way took: the seconds of each round, and how many `items` (samples, images, steps) a round has."""

    seconds: tuple[float, ...]
    items: int

    @property
    def milliseconds(self) -> Spread:
        """Of one item."""
        return Spread.of([1000 * seconds / self.items for seconds in self.seconds])

    @property
    def per_second(self) -> float:
        """Items a second, in the middle round."""
        return self.items / median(self.seconds)

    def times_faster_than(self, other: Timing) -> Spread:
        """How many times as fast as another way, compared round by round."""
        return Spread.of([theirs / ours for theirs, ours in zip(other.seconds, self.seconds, strict=True)])

    def share_of(self, whole: Timing) -> Spread:
        """What it takes of the whole's time, in percent, compared round by round."""
        return Spread.of([100 * part / total for part, total in zip(self.seconds, whole.seconds, strict=True)])


def side_by_side(
    ways: Mapping[str, Callable[[], object]],
    items: int,
    rounds: int,
    *,
    at_least: float = SHORTEST,
    advance: Advance = lambda done: None,
) -> dict[str, Timing]:
    """Time every way in each round, in the order given; nothing is run beforehand to warm it up.

    Args:
        ways: each goes through all items when it is called.
        items: how many those are.
        rounds: how often all ways take their turn.
        at_least: seconds that a turn lasts; a way that ends sooner runs again, and the turn counts as its mean.
        advance: called after each turn; `rounds · len(ways)` times in all.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started, runs, elapsed = time.perf_counter(), 0, 0.0
            while runs == 0 or elapsed < at_least:
                way()
                runs, elapsed = runs + 1, time.perf_counter() - started
            seconds[name].append(elapsed / runs)
            advance(1)
    return {name: Timing(tuple(turns), items) for name, turns in seconds.items()}


def gflops_of(compute: Callable[[], object]) -> float:
    """10⁹ floating-point operations of convolutions and matrix products, attention's too (a multiply-add is two)."""
    with FlopCounterMode(display=False) as counter:
        compute()
    return float(counter.get_total_flops()) / GIGA


def matrix_product_gflops(device: torch.device) -> Mapping[str, float]:
    """10⁹ operations a second that a device reaches in the product of two large matrices, in each number format that it computes in."""
    side = SIDES.get(device.type, SIDE)
    reached = {}
    for name, dtype in {"fp32": torch.float32, **({"bf16": torch.bfloat16} if has_bf16(device) else {})}.items():
        matrix = torch.randn(side, side, device=device).to(dtype)

        def multiply(matrix: Tensor = matrix) -> None:
            torch.mm(matrix, matrix)
            finish_on(device)

        multiply()
        timing = side_by_side({name: multiply}, 1, ROUNDS)[name]
        reached[name] = 2 * side**3 / GIGA * timing.per_second
    return reached
