"""From a request to queries: every image once, with all expressions about it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cmirnet_cli.engine.prediction.photo_files import PhotoFile
from cmirnet_cli.errors import UsageError


@dataclass(frozen=True)
class PredictRequest:
    """Which images to predict on, and what to look for in them.

    Attributes:
        photos: images.
        expressions: about every one of `photos`.
        pairs: single images with an expression each, in any order.
    """

    photos: Sequence[PhotoFile] = ()
    expressions: Sequence[str] = ()
    pairs: Sequence[tuple[PhotoFile, str]] = ()


@dataclass(frozen=True)
class ImageQuery:
    """An image and the expressions about it."""

    photo: PhotoFile
    expressions: tuple[str, ...]


def image_queries(request: PredictRequest) -> list[ImageQuery]:
    """One query for each image, in the order in which images first come up; an expression that is repeated counts once.

    Raises:
        UsageError: an expression is empty or no Unicode text.
    """
    common = dict.fromkeys(map(checked_expression, request.expressions))
    pairs = [(photo, {checked_expression(expression): None}) for photo, expression in request.pairs]
    named: dict[Path, PhotoFile] = {}
    expressions: dict[Path, dict[str, None]] = {}
    for photo, more in [*((photo, common) for photo in request.photos), *pairs]:
        named.setdefault(photo.path, photo)
        expressions.setdefault(photo.path, {}).update(more)
    return [ImageQuery(photo, tuple(expressions[photo.path])) for photo in _distinct_names(list(named.values()))]


def checked_expression(expression: str) -> str:
    """The expression, if it can be encoded.

    Raises:
        UsageError: it is empty or no Unicode text.
    """
    if not isinstance(expression, str):
        raise UsageError(f"an expression is text, not {expression!r}", hint="give one expression, or one list of them for all images")
    if not expression.strip():
        raise UsageError("an expression is empty", hint="say what to find, such as 'the red cup'")
    try:
        expression.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(f"the expression {expression!r} is not Unicode text", hint="write it in UTF-8") from error
    return expression


def _distinct_names(photos: Sequence[PhotoFile]) -> list[PhotoFile]:
    """Images of different folders that share a name each get a piece of their path's digest into it.

    Names that differ in case only count as one, for some file systems take them so.
    """
    counts = Counter(str(photo.name).casefold() for photo in photos)
    return [photo if counts[str(photo.name).casefold()] == 1 else _marked(photo) for photo in photos]


def _marked(photo: PhotoFile) -> PhotoFile:
    mark = hashlib.sha256(photo.path.as_posix().encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return replace(photo, name=photo.name.with_name(f"{photo.name.stem}-{mark}{photo.name.suffix}"))
