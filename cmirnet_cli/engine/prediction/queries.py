"""What is asked: photos with expressions about them, each photo once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cmirnet_cli.engine.prediction.photos import PhotoFile
from cmirnet_cli.errors import UsageError


@dataclass(frozen=True)
class ImageQuery:
    """A photo and what is asked about it."""

    photo: PhotoFile
    expressions: tuple[str, ...]


def image_queries(photos: Sequence[PhotoFile], expressions: Sequence[str], pairs: Iterable[tuple[PhotoFile, str]] = ()) -> list[ImageQuery]:
    """One question for each photo, in the order in which photos come up; what is asked twice is asked once.

    Args:
        photos: what all `expressions` are asked about.
        expressions: asked about each of `photos`.
        pairs: what else is asked, scattered in any way.

    Raises:
        UsageError: an expression is empty or no text.
    """
    asked: dict[Path, dict[str, None]] = {}
    named: dict[Path, PhotoFile] = {}
    common = dict.fromkeys(map(checked_expression, expressions))
    for photo, wanted in [*((photo, common) for photo in photos), *((photo, {checked_expression(text): None}) for photo, text in pairs)]:
        named.setdefault(photo.path, photo)
        asked.setdefault(photo.path, {}).update(wanted)
    return [ImageQuery(photo, tuple(asked[photo.path])) for photo in _told_apart(list(named.values()))]


def checked_expression(expression: str) -> str:
    """The expression, if it can be asked.

    Raises:
        UsageError: it is empty or no Unicode text.
    """
    if not expression.strip():
        raise UsageError("an expression is empty", hint="say what to find, such as 'the red cup'")
    try:
        expression.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(f"the expression {expression!r} is no Unicode text", hint="write it in UTF-8") from error
    return expression


def _told_apart(photos: Sequence[PhotoFile]) -> list[PhotoFile]:
    """Photos of different folders that would be filed under one name get a piece of their path's digest into it, each of them.

    Names are one if they differ in case only, as some file systems see them.
    """
    taken = Counter(_key(photo) for photo in photos)
    return [_marked(photo) if taken[_key(photo)] > 1 else photo for photo in photos]


def _key(photo: PhotoFile) -> str:
    return str(photo.name).casefold()


def _marked(photo: PhotoFile) -> PhotoFile:
    mark = hashlib.sha256(photo.path.as_posix().encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return replace(photo, name=photo.name.with_name(f"{photo.name.stem}-{mark}{photo.name.suffix}"))
