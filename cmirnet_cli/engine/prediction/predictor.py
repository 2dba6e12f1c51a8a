"""Predicting with anything that gives each pixel a probability: weights that torch runs, or an export that needs no torch.

A row is an image with one expression. Several rows go through the network at once: the expressions about one image, or those about
several images that are encoded together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, Protocol, TypeVar

from cmirnet_cli.engine.prediction.masks import MaskRule, Probabilities, decide
from cmirnet_cli.engine.prediction.photos import Photo, read_photo
from cmirnet_cli.engine.prediction.prediction import Prediction
from cmirnet_cli.engine.prediction.queries import ImageQuery
from cmirnet_cli.engine.rows import grouped, padded
from cmirnet_cli.errors import ImageError
from cmirnet_cli.images.pixels import Pixels

Features = TypeVar("Features")


class HasExpressions(Protocol):
    """An image, wherever it is, and the expressions about it."""

    @property
    def expressions(self) -> Sequence[str]:
        """What to find."""


Query = TypeVar("Query", bound=HasExpressions)


class Predictor(Protocol[Features]):
    """What predicts masks: it encodes images once, and decodes any number of expressions about them."""

    @property
    def tokens(self) -> int:
        """How many tokens of an expression are read, its start and end marks included."""

    @property
    def expressions_at_once(self) -> int:
        """How many expressions about one image go through at once."""

    @property
    def photos_at_once(self) -> int:
        """How many images are encoded together; of several, as many rows go through at once."""

    def too_long(self, expressions: Sequence[str]) -> list[str]:
        """Those expressions of which only the beginning is read."""

    def unknown(self, expressions: Sequence[str]) -> list[str]:
        """Those expressions of which the tokenizer knows no word."""

    def encode_image(self, photos: Sequence[Pixels]) -> Sequence[Features]:
        """The features of images uint8 (H, W, 3) of any sizes: all that does not depend on an expression."""

    def probabilities(
        self, features: Sequence[Features], expressions: Sequence[str], sizes: Sequence[tuple[int, int]]
    ) -> Iterator[Probabilities]:
        """The referent's probability at every pixel, float32 (H, W), row after row, at the sizes (H, W) of the images.

        There may be fewer sizes than rows: the last rows then only fill the batch, and give nothing.
        """


@dataclass(frozen=True)
class ImageExpressions:
    """The pixels of an image, uint8 (H, W, 3), and the expressions about it."""

    pixels: Pixels
    expressions: Sequence[str]


@dataclass(frozen=True)
class PhotoResult(Generic[Query]):
    """What came of a query: predictions, to be taken once and before the next result, or the reason why there are none.

    Attributes:
        query: the image and its expressions.
        image: its pixels; None where it cannot be read.
        predictions: computed as they are taken, a batch at a time, so that thousands need no more memory than a few.
        problem: why the image cannot be read.
    """

    query: Query
    image: Photo | None
    predictions: Iterator[Prediction]
    problem: ImageError | None = None


def predict_photos(
    predictor: Predictor[Features],
    queries: Iterable[ImageQuery],
    mask_rule: MaskRule,
    advance: Callable[[int], object],
    *,
    own_range: bool = True,
) -> Iterator[PhotoResult[ImageQuery]]:
    """The results of queries about image files, as `predict_queries` has them.

    Args:
        predictor: computes.
        queries: the images and their expressions.
        mask_rule: how probabilities become masks.
        advance: is called with how many more images are done.
        own_range: whether an image of 16 bits that uses fewer is scaled by its own range.
    """
    return predict_queries(predictor, queries, mask_rule, lambda query: read_photo(query.photo.path, own_range=own_range), advance)


def predict_queries(
    predictor: Predictor[Features],
    queries: Iterable[Query],
    mask_rule: MaskRule,
    read: Callable[[Query], Photo],
    advance: Callable[[int], object],
) -> Iterator[PhotoResult[Query]]:
    """The result of query after query; an image that `read` refuses becomes a result with its problem, and the rest goes on."""

    def attempt(query: Query) -> tuple[Query, Photo | None, ImageError | None]:
        try:
            return query, read(query), None
        except ImageError as problem:
            return query, None, problem

    for group in grouped(map(attempt, queries), predictor.photos_at_once):
        images = [ImageExpressions(image.pixels, query.expressions) for query, image, _ in group if image is not None]
        predictions = predict_batches(predictor, images, mask_rule)
        for query, image, problem in group:
            own = islice(predictions, 0 if image is None else len(query.expressions))
            yield PhotoResult(query, image, own, problem)
            deque(own, maxlen=0)  # what was not taken must not come with the next result
            advance(1)


def predict_batches(predictor: Predictor[Features], images: Iterable[ImageExpressions], mask_rule: MaskRule) -> Iterator[Prediction]:
    """Image after image one mask after the other: no more images and masks are in memory than go through at once.

    The mask of a row does not depend on the rows beside it, for as many rows go through each time.
    """
    together = predictor.photos_at_once
    for group in grouped(images, together):
        features = predictor.encode_image(padded([image.pixels for image in group], together))
        rows = ((own, expression, image.pixels) for image, own in zip(group, features, strict=False) for expression in image.expressions)
        for batch in grouped(rows, together if together > 1 else predictor.expressions_at_once):
            through = padded(batch, together)
            row_features, expressions = [own for own, _, _ in through], [expression for _, expression, _ in through]
            unknown = predictor.unknown(list(dict.fromkeys(expressions)))
            probabilities = predictor.probabilities(row_features, expressions, [(len(pixels), pixels.shape[1]) for _, _, pixels in batch])
            for (_, expression, pixels), probability in zip(batch, probabilities, strict=True):
                yield decide(expression, pixels, probability, mask_rule, known=expression not in unknown)
