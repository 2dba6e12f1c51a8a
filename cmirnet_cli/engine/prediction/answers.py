"""Photos with expressions in, masks out, as many photos at once as the predictor looks at together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from cmirnet_cli.batches.rows import grouped
from cmirnet_cli.engine.prediction.finder import Features, ImageExpressions, Predictor, predict_batches
from cmirnet_cli.engine.prediction.masks import MaskRule, Prediction
from cmirnet_cli.engine.prediction.photos import Pixels, read_photo
from cmirnet_cli.engine.prediction.questions import ImageQuery
from cmirnet_cli.errors import ImageError


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
