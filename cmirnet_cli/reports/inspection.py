"""What is worth a look about referents, and which of many to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cmirnet_cli.metrics.breakdown import NO_TARGET
from cmirnet_cli.reports.pictures.overlay import Mask
from cmirnet_cli.reports.spread import evenly, filled

EMPTY = "empty mask"
"""There is an object of some category, and no pixel belongs to it."""
TINY = "tiny mask"
BLANK = "blank sentence"

TINY_SHARE = 0.001
"""A mask is tiny below this part of its image."""
MARKED_PLACES = 3
"""Of the places on a page, one in so many is kept for referents with a mark."""

Marks = tuple[str, ...]
"""All that is worth a look about one referent, in a fixed order; empty where nothing is."""


def lost(size: int) -> str:
    """The mark of a mask of which nothing is left at a network's size, in pixels."""
    return f"lost at {size} px"


def marks_of(mask: Mask, prepared: Mapping[int, Mask], category: str, sentences: Sequence[str]) -> Marks:
    """All that is worth a look about one referent.

    Args:
        mask: bool (H, W), at the image's own size.
        prepared: size S in pixels → bool (S, S), the same mask as networks of that size get it.
        category: of the object; a referent without one is taken to have no target.
        sentences: its expressions.
    """
    said = (BLANK,) if not all(sentence.strip() for sentence in sentences) else ()
    if not mask.any():
        return (EMPTY if category else NO_TARGET, *said)
    tiny = (TINY,) if mask.mean() < TINY_SHARE else ()
    return (*tiny, *(lost(size) for size, small in prepared.items() if not small.any()), *said)


@dataclass(frozen=True)
class Selection:
    """The referents of a split, by place, and which of them a page shows.

    Attributes:
        marks: of every referent of the split.
        chosen: the places of those that are shown, in order.
    """

    marks: Sequence[Marks]
    chosen: Sequence[int]

    @classmethod
    def of(cls, marks: Sequence[Marks], limit: int) -> Selection:
        """At most `limit` referents: up to a third of them for their marks, each mark having its share; the others spread evenly."""
        everyone = cls(marks, range(len(marks)))
        if len(marks) <= limit:
            return everyone
        share = max(1, limit // MARKED_PLACES // max(1, len(everyone.by_mark)))
        first = [place for places in everyone.by_mark.values() for place in evenly(places, share)]
        return cls(marks, filled(first, len(marks), limit))

    @property
    def by_mark(self) -> dict[str, list[int]]:
        """Each mark that occurs in the split, with the places of all referents that have it."""
        found: dict[str, list[int]] = {}
        for place, marks in enumerate(self.marks):
            for mark in marks:
                found.setdefault(mark, []).append(place)
        return found

    @property
    def shown_in_words(self) -> str:
        """How many of how many referents are shown, and how they were chosen."""
        if len(self.chosen) == len(self.marks):
            return f"all {len(self.marks):,} referents"
        shown, marked = sum(bool(self.marks[place]) for place in self.chosen), sum(map(bool, self.marks))
        first = f": {shown:,} of the {marked:,} worth a look and others" if marked else ""
        return f"{len(self.chosen):,} of {len(self.marks):,} referents{first}, spread evenly over the annotations"

    @property
    def marks_in_words(self) -> str:
        """How many referents of the split have each mark."""
        return ", ".join(f"{len(places):,} × {mark}" for mark, places in self.by_mark.items()) or "none"
