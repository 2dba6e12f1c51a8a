"""What `cmirnet export` compares and calibrates on: photographs with expressions, a prepared cache, or drawn scenes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cmirnet_cli.errors import UsageError

if TYPE_CHECKING:
    from cmirnet_cli.export.samples import ExportSample, Samples

DRAWN_SIZE = 480
"""Pixels; the side of a drawn scene."""


@dataclass(frozen=True)
class Given:
    """Where samples come from, as typed.

    Raises:
        UsageError: it is incomplete, contradictory, or too little for int8.
    """

    images: Sequence[str]
    expressions: Sequence[str]
    cache: Path | None
    cache_split: str
    int8: bool
    calibrate: int

    def __post_init__(self) -> None:
        if self.cache and self.images:
            raise UsageError("--cache and --images cannot both be given", hint="give one of them")
        if self.cache and self.expressions:
            raise UsageError("-e does not go with --cache", hint="leave it out: a cache has expressions of its own")
        if bool(self.images) != bool(self.expressions):
            raise UsageError("--images and -e belong together", hint="give photographs, and what is asked about them")
        if self.int8 and not (self.cache or self.images):
            raise UsageError("int8 is calibrated on your data", hint="add --cache DIR, or --images DIR with -e TEXT")


def samples_of(given: Given, size: int) -> Samples:
    """The samples, evenly taken from all there are.

    Args:
        given: where they come from.
        size: of the network's input.

    Raises:
        DataError: something named is missing or broken.
        UsageError: there are too few for int8.
    """
    from cmirnet_cli.export.samples import COMPARED, Samples, halves, spread

    source, found = _found(given, size)
    if not given.int8:
        return Samples(source, tuple(load() for load in spread(found, COMPARED)))
    if len(found) < 2:
        raise UsageError("int8 needs at least two pairs of image and expression", hint="give more: one calibrates, another measures")
    calibrating, compared = halves(found, given.calibrate)
    return Samples(source, tuple(load() for load in compared), tuple(load() for load in calibrating))


def _found(given: Given, size: int) -> tuple[str, Sequence[Callable[[], ExportSample]]]:
    """Where samples are, in words, and what reads each of them."""
    if given.cache:
        return _of_cache(given.cache, given.cache_split, size)
    return _of_images(given.images, given.expressions) if given.images else _drawn()


def _of_cache(root: Path, split: str, size: int) -> tuple[str, Sequence[Callable[[], ExportSample]]]:
    from functools import partial

    from cmirnet_cli.cache.find import find_cache
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.export.samples import ExportSample

    cache = Cache.open(find_cache(root))

    def load(row: int) -> ExportSample:
        sample = cache.sample(row, 0, size)
        return ExportSample(sample.image, sample.text)

    return f"{cache.folder.name}, split {split}", [partial(load, row) for row in cache.referents(split).tolist()]


def _of_images(images: Sequence[str], expressions: Sequence[str]) -> tuple[str, Sequence[Callable[[], ExportSample]]]:
    from functools import partial

    from cmirnet_cli.engine.prediction.photos import find_photos, read_photo
    from cmirnet_cli.engine.prediction.questions import image_queries
    from cmirnet_cli.export.samples import ExportSample

    questions = image_queries(find_photos(images), expressions)
    pairs = [(question.photo.path, text) for question in questions for text in question.expressions]

    def load(path: Path, text: str) -> ExportSample:
        return ExportSample(read_photo(path), text)

    return f"{len(questions):,} photographs, {len(expressions):,} expressions", [partial(load, *pair) for pair in pairs]


def _drawn() -> tuple[str, Sequence[Callable[[], ExportSample]]]:
    from functools import partial

    from cmirnet_cli.export.samples import COMPARED, ExportSample
    from cmirnet_cli.scenes import drawn_questions

    return "drawn scenes", [partial(ExportSample, *question) for question in drawn_questions(COMPARED, DRAWN_SIZE)]
