"""Photos with expressions in, masks out, one photo at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cmirnet_cli.engine.prediction.finder import Finder, find
from cmirnet_cli.engine.prediction.masks import MaskRule, Prediction
from cmirnet_cli.engine.prediction.photos import Pixels, read_photo
from cmirnet_cli.engine.prediction.questions import Question
from cmirnet_cli.errors import ImageError


@dataclass(frozen=True)
class Answer:
    """What came of a question: predictions, to be taken once and in order, or the reason why there are none.

    Attributes:
        question: as asked.
        pixels: the photo, uint8 (H, W, 3); None where it cannot be read.
        predictions: computed as they are taken, a batch of expressions at a time, so that thousands need no more memory than a few.
        problem: why the photo cannot be read.
    """

    question: Question
    pixels: Pixels | None
    predictions: Iterator[Prediction]
    problem: ImageError | None = None


def answer_all(finder: Finder, questions: Iterable[Question], rule: MaskRule, advance: Callable[[int], object]) -> Iterator[Answer]:
    """Ask about photo after photo; a photo that cannot be read becomes an answer with its problem and the rest goes on."""
    for question in questions:
        yield _answer(finder, question, rule)
        advance(1)


def _answer(finder: Finder, question: Question, rule: MaskRule) -> Answer:
    try:
        pixels = read_photo(question.photo.path)
    except ImageError as problem:
        return Answer(question, None, iter(()), problem)
    return Answer(question, pixels, find(finder, pixels, question.expressions, rule))
