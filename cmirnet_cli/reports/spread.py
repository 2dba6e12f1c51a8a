"""A few of many, spread evenly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` of the items, spread over all of them, in their order."""
    count = min(count, len(items))
    return [items[(2 * place + 1) * len(items) // (2 * count)] for place in range(count)]


def filled(first: Iterable[int], total: int, limit: int) -> list[int]:
    """`limit` of the places 0 … total - 1, or all where there are no more: those that come first, and others spread evenly; ascending."""
    taken = sorted(set(first))[:limit]
    rest = sorted(set(range(total)).difference(taken))
    return sorted([*taken, *evenly(rest, limit - len(taken))])
