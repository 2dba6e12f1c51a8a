"""Asking anything that can say how probable each pixel is: weights that torch runs, or an exported model that needs no torch.

Rows, photos with an expression each, go through a network several at once: the expressions about one photo, or those about several photos
that are looked at together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from cmirnet_cli.batches.rows import filled, grouped
from cmirnet_cli.engine.prediction.masks import MaskRule, Prediction, Probabilities, decide
from cmirnet_cli.engine.prediction.photos import Pixels

View = TypeVar("View")


class Finder(Protocol[View]):
    """What can be asked where something is. A view is what it saw of a photo."""

    @property
    def tokens(self) -> int:
        """How many tokens of an expression are read, its start and end marks included."""

    @property
    def batch_size(self) -> int:
        """How many expressions about one photo go through at once."""

    @property
    def photos_at_once(self) -> int:
        """How many photos are looked at together; of several, as many rows go through at once."""

    def too_long(self, expressions: Sequence[str]) -> list[str]:
        """Those expressions of which only the beginning is read."""

    def look(self, photos: Sequence[Pixels]) -> Sequence[View]:
        """What is seen of photos uint8 (H, W, 3) of any sizes."""

    def probabilities(self, views: Sequence[View], expressions: Sequence[str], sizes: Sequence[tuple[int, int]]) -> Iterator[Probabilities]:
        """The referent's probability at every pixel, float32 (H, W), row after row, at the sizes (H, W) of the photos.

        There may be fewer sizes than rows: then those of the last rows are not wanted.
        """


@dataclass(frozen=True)
class Asked:
    """A photo, uint8 (H, W, 3), and what it is asked about."""

    pixels: Pixels
    expressions: Sequence[str]


@dataclass(frozen=True)
class _Row(Generic[View]):
    """One expression about a photo: what was seen of it, and its size (H, W)."""

    view: View
    expression: str
    size: tuple[int, int]


def find(finder: Finder[View], asked: Iterable[Asked], rule: MaskRule) -> Iterator[Prediction]:
    """Photo after photo one mask after the other: no more photos and masks are in memory than go through at once.

    Photos that go through with others give what they give with any others, for as many rows go through each time.
    """
    together = finder.photos_at_once
    for photos in grouped(asked, together):
        for rows in grouped(_rows(finder, photos), together if together > 1 else finder.batch_size):
            yield from _decided(finder, rows, rule)


def _rows(finder: Finder[View], asked: Sequence[Asked]) -> Iterator[_Row[View]]:
    views = finder.look(filled([each.pixels for each in asked], finder.photos_at_once))
    for each, view in zip(asked, views, strict=False):
        height, width = each.pixels.shape[:2]
        yield from (_Row(view, expression, (height, width)) for expression in each.expressions)


def _decided(finder: Finder[View], rows: Sequence[_Row[View]], rule: MaskRule) -> Iterator[Prediction]:
    through = filled(rows, finder.photos_at_once)
    found = finder.probabilities([row.view for row in through], [row.expression for row in through], [row.size for row in rows])
    for row, probability in zip(rows, found, strict=True):
        yield decide(row.expression, probability, rule)
