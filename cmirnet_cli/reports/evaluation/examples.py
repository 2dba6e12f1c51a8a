"""Which of many sentences a page shows: the worst, the best, some of every bin, and the rest spread evenly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from cmirnet_cli.metrics.sentences import BINS, SplitScores, Tally

Item = TypeVar("Item")


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` of the items, spread over all of them, in their order."""
    count = min(count, len(items))
    return [items[(2 * place + 1) * len(items) // (2 * count)] for place in range(count)]


def pick_places(first: Iterable[int], total: int, limit: int) -> list[int]:
    """`limit` of the places 0 … total - 1, or all where there are no more: those that come first, and others spread evenly; ascending."""
    taken = sorted(set(first))[:limit]
    rest = sorted(set(range(total)).difference(taken))
    return sorted([*taken, *evenly(rest, limit - len(taken))])


@dataclass(frozen=True)
class Examples:
    """Some sentences of a split.

    Attributes:
        places: among all sentences, the worst under the first protocol first.
        total: how many there are.
        rule: which ones are shown, in words; empty where all are.
    """

    places: Sequence[int]
    total: int
    rule: str = ""

    @property
    def in_words(self) -> str:
        """How many of how many, and which."""
        return f"{len(self.places):,} of {self.total:,} sentences: {self.rule}" if self.rule else f"all {self.total:,} sentences"


def choose(scored: SplitScores, limit: int) -> Examples:
    """At most `limit` sentences: under each protocol the worst, the best and some of each bin of the histogram; the rest spread evenly.

    Every bin that has a sentence has an example, if there is room for twice the bins under each protocol.
    """
    total = len(scored.sentences)
    if total <= limit:
        return Examples(_worst_first(scored, range(total)), total)
    share = limit // len(scored.protocols)
    worst, best = share // 3, share // 6
    each = max(1, (share - worst - best) // BINS)
    first = [place for protocol in scored.protocols for place in _extremes(scored, protocol, worst, best, each)]
    rule = (
        f"under each protocol the {worst} worst, the {best} best and {each} of every bar of the histogram;"
        " the others are spread evenly over the annotations"
    )
    return Examples(_worst_first(scored, pick_places(first, total, limit)), total, rule)


def _extremes(scored: SplitScores, protocol: str, worst: int, best: int, each: int) -> list[int]:
    """Places of the worst, of the best, and of some of each bin of the histogram."""
    tally = Tally.of(scored.sentences, protocol)
    rising = np.argsort(tally.iou, kind="stable")
    bins = tally.bins[rising]
    spread = [place for number in range(BINS) for place in evenly(rising[bins == number].tolist(), each)]
    return [*rising[:worst].tolist(), *rising[len(rising) - best :].tolist(), *spread]


def _worst_first(scored: SplitScores, places: Sequence[int]) -> list[int]:
    return sorted(places, key=lambda place: scored.sentences[place].overlaps[scored.protocols[0]].iou)
