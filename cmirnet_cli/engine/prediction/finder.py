"""Predicting with anything that gives each pixel a probability: weights that torch runs, or an exported model that needs no torch.

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

Features = TypeVar("Features")


class Predictor(Protocol[Features]):
    """What predicts masks: it encodes images once, and decodes any number of expressions about them."""

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

    def encode_image(self, photos: Sequence[Pixels]) -> Sequence[Features]:
        """The features of photos uint8 (H, W, 3) of any sizes: all that does not depend on an expression."""

    def probabilities(
        self, features: Sequence[Features], expressions: Sequence[str], sizes: Sequence[tuple[int, int]]
    ) -> Iterator[Probabilities]:
        """The referent's probability at every pixel, float32 (H, W), row after row, at the sizes (H, W) of the photos.

        There may be fewer sizes than rows: then those of the last rows are not wanted.
        """


@dataclass(frozen=True)
class ImageExpressions:
    """The pixels of a photo, uint8 (H, W, 3), and the expressions about it."""

    pixels: Pixels
    expressions: Sequence[str]


@dataclass(frozen=True)
class _Row(Generic[Features]):
    """One expression about a photo, whose features and size (H, W) go with it."""

    features: Features
    expression: str
    size: tuple[int, int]


def predict_batches(predictor: Predictor[Features], asked: Iterable[ImageExpressions], rule: MaskRule) -> Iterator[Prediction]:
    """Photo after photo one mask after the other: no more photos and masks are in memory than go through at once.

    Photos that go through with others give what they give with any others, for as many rows go through each time.
    """
    together = predictor.photos_at_once
    for photos in grouped(asked, together):
        for rows in grouped(_rows(predictor, photos), together if together > 1 else predictor.batch_size):
            yield from _decided(predictor, rows, rule)


def _rows(predictor: Predictor[Features], asked: Sequence[ImageExpressions]) -> Iterator[_Row[Features]]:
    features = predictor.encode_image(filled([each.pixels for each in asked], predictor.photos_at_once))
    for each, one in zip(asked, features, strict=False):
        height, width = each.pixels.shape[:2]
        yield from (_Row(one, expression, (height, width)) for expression in each.expressions)


def _decided(predictor: Predictor[Features], rows: Sequence[_Row[Features]], rule: MaskRule) -> Iterator[Prediction]:
    through = filled(rows, predictor.photos_at_once)
    found = predictor.probabilities([row.features for row in through], [row.expression for row in through], [row.size for row in rows])
    for row, probability in zip(rows, found, strict=True):
        yield decide(row.expression, probability, rule)
