"""Predicting with anything that gives each pixel a probability: weights that torch runs, or an exported model that needs no torch.

Rows, photos with an expression each, go through a network several at once: the expressions about one photo, or those about several photos
that are looked at together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, Protocol, TypeVar

from cmirnet_cli.batches.rows import filled, grouped
from cmirnet_cli.engine.prediction.masks import MaskRule, Prediction, Probabilities, decide
from cmirnet_cli.engine.prediction.photos import read_photo
from cmirnet_cli.engine.prediction.queries import ImageQuery
from cmirnet_cli.errors import ImageError
from cmirnet_cli.images.pixels import Pixels

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


@dataclass(frozen=True)
class PhotoResult:
    """What came of a question: predictions, to be taken once and before the next answer, or the reason why there are none.

    Attributes:
        question: as asked.
        pixels: the photo, uint8 (H, W, 3); None where it cannot be read.
        predictions: computed as they are taken, a batch at a time, so that thousands need no more memory than a few.
        problem: why the photo cannot be read.
    """

    question: ImageQuery
    pixels: Pixels | None
    predictions: Iterator[Prediction]
    problem: ImageError | None = None


def predict_photos(
    predictor: Predictor[Features], questions: Iterable[ImageQuery], rule: MaskRule, advance: Callable[[int], object]
) -> Iterator[PhotoResult]:
    """Ask about photo after photo; a photo that cannot be read becomes an answer with its problem and the rest goes on."""
    for group in grouped(questions, predictor.photos_at_once):
        for answer in _answers(predictor, [_read(question) for question in group], rule):
            yield answer
            advance(1)


@dataclass(frozen=True)
class _Read:
    """A question with its photo, or with why that cannot be read."""

    question: ImageQuery
    pixels: Pixels | None = None
    problem: ImageError | None = None


def _read(question: ImageQuery) -> _Read:
    try:
        return _Read(question, read_photo(question.photo.path))
    except ImageError as problem:
        return _Read(question, problem=problem)


def _answers(predictor: Predictor[Features], group: Iterable[_Read], rule: MaskRule) -> Iterator[PhotoResult]:
    asked = [ImageExpressions(each.pixels, each.question.expressions) for each in group if each.pixels is not None]
    found = predict_batches(predictor, asked, rule)
    for each in group:
        own = islice(found, 0 if each.pixels is None else len(each.question.expressions))
        yield PhotoResult(each.question, each.pixels, own, each.problem)
        deque(own, maxlen=0)  # what was not taken must not come with the next answer
