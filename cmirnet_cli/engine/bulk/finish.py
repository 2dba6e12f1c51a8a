"""Finishing a chunk: read its photographs, predict, hand rows to a writer, and report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypedDict

from cmirnet_cli.engine.bulk.chunk import Chunk
from cmirnet_cli.engine.bulk.read import StoredPhoto, read_photos
from cmirnet_cli.engine.prediction.masks import MaskRule
from cmirnet_cli.engine.prediction.photos import Photo, decoded
from cmirnet_cli.engine.prediction.predictor import Predictor, predict_queries
from cmirnet_cli.errors import ImageError
from cmirnet_cli.images.depth import Range
from cmirnet_cli.images.masks import bounding_box

MOST_NAMED = 20
"""Broken images that a report, or the result of the command, names; it counts all of them, and each is a row of the results."""


class MaskRow(TypedDict):
    """A mask, or an image that cannot be read: then `error` says why, and the fields from `expression` to `rle` are None.

    The keys are those of a line of `predictions.jsonl`; `size` is [height, width], `box` [left, top, width, height].
    """

    image: str
    path: str
    expression: str | None
    score: float | None
    known: bool | None
    size: list[int] | None
    box: list[int] | None
    area: int | None
    rle: dict[str, Any] | None
    error: str | None


@dataclass(frozen=True)
class BulkSettings:
    """How masks are made of photographs.

    Attributes:
        mask_rule: how probabilities become masks.
        own_range: whether an image of 16 bits that uses fewer is scaled by its own range.
        fail_fast: whether the first image that cannot be read ends it all.
        skip_existing: whether chunks that an earlier run finished are left alone.
    """

    mask_rule: MaskRule = field(default_factory=MaskRule)
    own_range: bool = True
    fail_fast: bool = False
    skip_existing: bool = False


@dataclass(frozen=True)
class Problem:
    """An image that cannot be read: where it is, as it may be shown, why, and what to do."""

    image: str
    problem: str
    hint: str


@dataclass(frozen=True)
class ChunkReport:
    """What came of a chunk.

    Attributes:
        number: the chunk's.
        images: how many it has, broken ones included.
        masks: how many were made of them.
        empty: how many of the masks have no pixel.
        broken: images that cannot be read.
        skipped: images that an earlier run finished.
        problems: the first broken ones, no more than MOST_NAMED; none of an earlier run.
        scaled: images of 16 bits that were scaled by their own range.
        scaled_first: the first of them, with its range.
    """

    number: int
    images: int
    masks: int
    empty: int
    broken: int
    skipped: int = 0
    problems: tuple[Problem, ...] = ()
    scaled: int = 0
    scaled_first: tuple[str, Range] | None = None


@dataclass
class _Tally:
    """The counts of a `ChunkReport` while the chunk's rows are written."""

    images: int = 0
    masks: int = 0
    empty: int = 0
    broken: int = 0
    problems: tuple[Problem, ...] = ()
    scaled: int = 0
    scaled_first: tuple[str, Range] | None = None


class ChunkWriter(Protocol):
    """Writes the rows of chunks, each chunk whole or not at all. It can be pickled, and several may write different chunks at once."""

    def finished(self, chunk: Chunk) -> Mapping[str, int] | None:
        """How many `images`, `masks`, `empty` masks and `broken` images this very chunk has, if an earlier run finished it; else None.

        Looks only at the file named after the chunk's number. Where that belongs to another chunk, this one counts as unfinished.
        """

    def write(self, chunk: Chunk, rows: Iterable[MaskRow]) -> None:
        """Take all rows, as they come, and make them appear together. They replace those of another chunk with this number."""


def finish_chunk(
    predictor: Predictor[Any], chunk: Chunk, writer: ChunkWriter, settings: BulkSettings, advance: Callable[[int], object] = lambda n: None
) -> ChunkReport:
    """Predict and write a chunk, unless an earlier run finished it. `advance` is called with how many more images are done.

    Raises:
        ImageError: an image cannot be read, and `fail_fast` is set.
        StorageError: the storage refuses, breaks off or does not answer. Nothing of the chunk is to be seen then.
    """
    earlier = writer.finished(chunk) if settings.skip_existing else None
    if earlier is not None:
        advance(earlier["images"])
        images, masks, empty, broken = (earlier[name] for name in ("images", "masks", "empty", "broken"))
        return ChunkReport(chunk.number, images, masks, empty, broken, skipped=images)
    tally = _Tally()
    writer.write(chunk, _predicted(predictor, chunk, settings, tally, advance))
    return ChunkReport(chunk.number, **vars(tally))


def _predicted(
    predictor: Predictor[Any], chunk: Chunk, settings: BulkSettings, tally: _Tally, advance: Callable[[int], object]
) -> Iterator[MaskRow]:
    """The rows of image after image, in the chunk's order, which are counted in `tally`; only a few images are in memory."""

    def decode(stored: StoredPhoto) -> Photo:
        if isinstance(stored.content, ImageError):
            raise stored.content
        return decoded(stored.content, stored.shown, own_range=settings.own_range)

    for result in predict_queries(predictor, read_photos(chunk), settings.mask_rule, decode, advance):
        photo = result.query
        tally.images += 1
        if result.image is None:
            problem = result.problem or ImageError(f"{photo.shown} cannot be read")
            if settings.fail_fast:
                raise problem
            tally.broken += 1
            if len(tally.problems) < MOST_NAMED:
                tally.problems += (Problem(photo.shown, str(problem), problem.hint or ""),)
            yield _row(photo, error=str(problem))
            continue
        if result.image.scaled_by:
            tally.scaled += 1
            tally.scaled_first = tally.scaled_first or (photo.shown, result.image.scaled_by)
        for found in result.predictions:
            tally.masks += 1
            box = bounding_box(found.mask)
            tally.empty += box is None
            yield _row(
                photo,
                expression=found.expression,
                score=round(found.score, 6),
                known=found.known,
                size=list(found.mask.shape),
                box=list(box) if box else None,
                area=int(found.mask.sum()),
                rle=found.rle(),
            )


def _row(photo: StoredPhoto, **known: Any) -> MaskRow:
    nothing = dict.fromkeys(MaskRow.__annotations__)
    return {**nothing, "image": photo.name, "path": photo.shown, **known}  # type: ignore[typeddict-item]
