"""The photographs of a chunk, in its order, read ahead by several threads so that the network does not wait for the storage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cmirnet_cli.engine.bulk.chunk import BulkPhoto, Chunk
from cmirnet_cli.engine.prediction.photos import photo_bytes
from cmirnet_cli.errors import ImageError, NotThereError, StorageError
from cmirnet_cli.storage.ahead import read_ahead
from cmirnet_cli.storage.reading import read_whole
from cmirnet_cli.storage.uris import is_uri, is_web, marked, shown, ten_digits

LARGEST_FILE = 1 << 30
"""Bytes of an image file that is read."""


@dataclass(frozen=True)
class StoredPhoto:
    """An image file's content.

    Attributes:
        name: the relative path that its results are filed under.
        shown: where it is, without what may be secret.
        expressions: what to find in it.
        content: its bytes, or why it cannot be read.
    """

    name: str
    shown: str
    expressions: tuple[str, ...]
    content: bytes | ImageError


def read_photos(chunk: Chunk) -> Iterator[StoredPhoto]:
    """The photographs of a chunk in its order.

    Raises:
        StorageError: the storage refuses, breaks off or does not answer. A single file that is not there, and whatever happens to an
            address on the web, is that photograph's problem alone.
    """
    from cmirnet_cli.engine.bulk.parquet import parquet_photos
    from cmirnet_cli.engine.bulk.tar import tar_photos

    own = chunk.container
    if own is None:
        return read_ahead(chunk.photos, stored)
    return _distinct_names(tar_photos(own)) if own.rows is None else parquet_photos(own)


def _distinct_names(photos: Iterator[StoredPhoto]) -> Iterator[StoredPhoto]:
    """Photographs as they come. Where a name has come before, ten digits of a digest of the name and of how often go into it."""
    earlier: Counter[str] = Counter()
    for photo in photos:
        name = photo.name.casefold()
        count = earlier[name]
        earlier[name] += 1
        yield replace(photo, name=marked(photo.name, ten_digits(f"{name} {count}"))) if count else photo


def stored(photo: BulkPhoto) -> StoredPhoto:
    """An image file on this machine or in storage, with its content."""
    where = shown(photo.uri)
    try:
        content: bytes | ImageError = _content(photo.uri, where)
    except ImageError as problem:
        content = problem
    return StoredPhoto(photo.name, where, photo.expressions, content)


def _content(uri: str, where: str) -> bytes:
    if not is_uri(uri):
        return photo_bytes(Path(uri))
    try:
        content = read_whole(uri, LARGEST_FILE)
    except StorageError as error:
        if is_web(uri) or isinstance(error, NotThereError):
            raise ImageError(str(error), hint=error.hint) from error
        raise
    if len(content) > LARGEST_FILE:
        raise too_large(where)
    return content


def too_large(where: str) -> ImageError:
    """The error about a file that is not read because of its size."""
    return ImageError(f"{where} has more than {LARGEST_FILE:,} bytes", hint="leave it out, or make it smaller")
