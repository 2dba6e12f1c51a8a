"""How much a split of drawn scenes is to hold, exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from cmirnet_cli.errors import DataError

MOST = 3
"""Referents that an image, and sentences that a referent, can have: a scene may hold three things."""


@dataclass(frozen=True)
class Amount:
    """Images, referents and sentences of a split. Each image gets about as many referents as any other, each referent sentences.

    Raises:
        DataError: an image would have no referent or more than `MOST`, or a referent so many sentences.
    """

    images: int
    refs: int
    sentences: int

    def __post_init__(self) -> None:
        if not (0 < self.images <= self.refs <= MOST * self.images and self.refs <= self.sentences <= MOST * self.refs):
            hint = f"an image can have 1 to {MOST} referents, a referent 1 to {MOST} sentences"
            raise DataError(f"{self.images} images cannot be drawn with {self.refs} referents and {self.sentences} sentences", hint=hint)

    def sentences_of_images(self) -> Iterator[tuple[int, ...]]:
        """For each image, how many sentences each of its referents has."""
        counts = _spread(self.sentences, self.refs)
        return (tuple(islice(counts, referents)) for referents in _spread(self.refs, self.images))


def _spread(total: int, parts: int) -> Iterator[int]:
    """`total` as a sum of `parts` numbers that differ by one at most, evenly mixed: 5 in 3 is 1, 2, 2."""
    return ((part + 1) * total // parts - part * total // parts for part in range(parts))
