"""Images with sentences about them, on which an export is compared with its weights and calibrated."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from cmirnet_cli.export.preprocessing import Pixels

Item = TypeVar("Item")

COMPARED = 4
"""Samples that suffice to find a wrong graph: a batch of 1 and one of 3."""


@dataclass(frozen=True)
class ExportSample:
    """An RGB image, uint8 (H, W, 3), and a sentence about it."""

    pixels: Pixels
    sentence: str


@dataclass(frozen=True)
class Samples:
    """What an export is tried on.

    Attributes:
        source: where the samples come from, in words.
        compared: for the comparison with the weights; at least one.
        calibrating: for the ranges of int8; none of them is compared.
    """

    source: str
    compared: tuple[ExportSample, ...]
    calibrating: tuple[ExportSample, ...] = ()


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` items, evenly taken from the whole sequence and in its order."""
    kept = min(count, len(items))
    return [items[place * len(items) // kept] for place in range(kept)]


def halves(items: Sequence[Item], count: int) -> tuple[list[Item], list[Item]]:
    """At most `count` items for each of two purposes, evenly taken, none of them for both.

    They are dealt in a random order, the same each time: in their own order every second one may be about the same expression.
    """
    taken = spread(items, 2 * count)
    dealt = random.Random(0).sample(taken, len(taken))
    return dealt[::2], dealt[1::2]
