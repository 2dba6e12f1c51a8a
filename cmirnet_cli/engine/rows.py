"""Batches that all have the same number of rows, and what comes out of the network for them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any, TypeVar

from cmirnet_cli.errors import WeightsError, listed

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Item = TypeVar("Item")


def grouped(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Groups of `size` items in their order; the last one may be smaller."""
    left = iter(items)
    while group := list(islice(left, size)):
        yield group


def padded(items: Sequence[Item], size: int) -> list[Item]:
    """One item or more, the last of them again and again until there are `size`.

    Libraries choose how to add up numbers by the number of rows: what is computed of one row then does not depend on how many
    others there are.
    """
    return [*items, *repeat(items[-1], size - len(items))]


def require_numbers(output: Tensor | NDArray[Any], expressions: Sequence[str]) -> None:
    """Refuse what a network gives if a value is NaN: its mask would just be empty there.

    Raises:
        WeightsError: names the expressions that it was given for.
    """
    if math.isnan(float(output.max())):
        hint = "use weights of an earlier epoch if their training diverged; if this is fp16, use --precision fp32 or an export in fp32"
        raise WeightsError(f"the network gives NaN for {listed([repr(each) for each in expressions])}", hint)
