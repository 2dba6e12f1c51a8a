"""Batches that all have the same number of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, repeat
from typing import TypeVar

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
