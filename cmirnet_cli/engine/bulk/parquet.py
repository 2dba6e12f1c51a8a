"""The photographs of a parquet file's rows: a struct {bytes, path} as the library `datasets` writes it, a column of bytes, or one of paths.

Paths are those of files, or URIs; relative ones start at the parquet file's own folder. Requires pyarrow, the extra `[parquet]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmirnet_cli.engine.bulk.chunk import BulkPhoto, Container, Rows
from cmirnet_cli.engine.bulk.expressions import with_own
from cmirnet_cli.engine.bulk.read import LARGEST_FILE, StoredPhoto, stored, too_large
from cmirnet_cli.errors import DataError, ImageError, StorageError, UsageError
from cmirnet_cli.storage.ahead import in_background, read_ahead
from cmirnet_cli.storage.reading import opened
from cmirnet_cli.storage.uris import is_uri, joined, shown

if TYPE_CHECKING:
    from pyarrow import Schema
    from pyarrow.parquet import ParquetFile

IMAGE_COLUMNS = ("image", "img", "picture", "photo", "image_bytes", "jpg", "jpeg", "png", "webp", "image_path", "file_name", "path", "url")
"""Names of columns that hold pictures, the usual ones first."""
_AT_ONCE = 16
"""Rows that are read together."""


def row_chunks(uri: str, most: int, text: str) -> Iterator[Rows]:
    """The rows of a file in pieces of about `most`: whole row groups, or parts of them where its pictures are elsewhere.

    Raises:
        UsageError: pyarrow is not installed.
        DataError: it is no parquet file, or has no column of pictures or none called `text`.
        StorageError: the storage fails.
    """
    with _file(uri) as file:
        kind = _picture_column(file.schema_arrow, shown(uri), text).kind
        start = stop = 0
        for group in range(file.metadata.num_row_groups):
            stop += file.metadata.row_group(group).num_rows
            while kind == "path" and stop - start > most:
                yield start, start + most
                start += most
            if stop - start >= most:
                yield start, stop
                start = stop
        if stop > start:
            yield start, stop


def parquet_photos(container: Container) -> Iterator[StoredPhoto]:
    """The photographs of some rows, in order; they are filed under the container's name and the row's number.

    Raises:
        UsageError, DataError, StorageError: as for `row_chunks`.
    """
    return read_ahead(in_background(_rows(container)), _stored)


def _rows(container: Container) -> Iterator[_Row]:
    """The rows. If the file cannot be read to its end, one more row says so as its problem."""
    try:
        yield from _readable_rows(container)
    except StorageError:
        raise
    except DataError as error:
        yield _Row(container.name, shown(container.uri), (), ImageError(str(error), hint=error.hint))


@dataclass(frozen=True)
class _Row:
    """A row: its picture's bytes, or where the picture is."""

    name: str
    shown: str
    expressions: tuple[str, ...]
    content: bytes | ImageError | None
    uri: str = ""


def _stored(row: _Row) -> StoredPhoto:
    if row.content is None:
        return stored(BulkPhoto(row.uri, row.name, row.expressions))
    return StoredPhoto(row.name, row.shown, row.expressions, row.content)


def _readable_rows(container: Container) -> Iterator[_Row]:
    first, end = container.rows or (0, 0)
    with _file(container.uri) as file:
        column = _picture_column(file.schema_arrow, shown(container.uri), container.text).name
        place, groups = 0, []
        for group in range(file.metadata.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if place < end and place + count > first:
                groups.append((group, place))
            place += count
        columns = [column, *([container.text] if container.text else [])]
        number = groups[0][1] if groups else 0
        for batch in file.iter_batches(_AT_ONCE, [group for group, _ in groups], columns):
            if number + batch.num_rows > first:
                for offset, row in enumerate(batch.to_pylist()):
                    if first <= number + offset < end:
                        yield _row(container, number + offset, row[column], row.get(container.text))
            number += batch.num_rows
            if number >= end:
                return


def _row(container: Container, number: int, value: object, own: object) -> _Row:
    where = f"{shown(container.uri)}, row {number}"
    name = f"{container.name}/{number}"
    content, path = (value.get("bytes"), value.get("path")) if isinstance(value, Mapping) else (value, value)
    found: tuple[str, ...] | ImageError = (
        with_own(container.expressions, own, where, container.text) if container.text else container.expressions
    )
    if isinstance(found, ImageError):
        return _Row(name, where, (), found)
    if isinstance(content, bytes) and content:
        return _Row(name, where, found, too_large(where) if len(content) > LARGEST_FILE else content)
    if isinstance(path, str) and path:
        uri = path if is_uri(path) or Path(path).is_absolute() else joined(container.uri.rpartition("/")[0] or ".", path)
        return _Row(name, shown(uri), found, None, uri)
    return _Row(name, where, (), ImageError(f"{where} holds no picture", hint="it must be bytes, {bytes, path}, or a path"))


@contextmanager
def _file(uri: str) -> Iterator[ParquetFile]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise UsageError(f"{shown(uri)} is a parquet file, and pyarrow is not installed", hint="pip install 'cmirnet[parquet]'") from error
    try:
        with opened(uri) if is_uri(uri) else Path(uri).open("rb") as source, ParquetFile(source) as file:
            yield file
    except OSError as error:
        raise DataError(f"cannot read {shown(uri)}: {error.strerror or error}", hint="write the file again") from error
    except ArrowException as error:
        raise DataError(f"{shown(uri)} is no parquet file, or is damaged: {error}", hint="write the file again") from error


@dataclass(frozen=True)
class _PictureColumn:
    name: str
    kind: str
    """"bytes" or "path"."""


def _picture_column(schema: Schema, where: str, text: str) -> _PictureColumn:
    """The column that holds the pictures: by its usual name, or the first that holds bytes or {bytes, path}."""
    if text and text not in schema.names:
        raise DataError(f"{where} has no column {text!r}", hint=f"its columns are {', '.join(schema.names)}")
    kinds: dict[str, str | None] = {field.name: _kind(field.type) for field in schema}
    usual = [name for name in IMAGE_COLUMNS if kinds.get(name)]
    for name in [*usual, *(name for name, kind in kinds.items() if kind == "bytes")]:
        if (kind := kinds[name]) is not None and name != text:
            return _PictureColumn(name, kind)
    hint = f"it must hold bytes, {{bytes, path}} or paths, under a name such as image; its columns are {', '.join(schema.names)}"
    raise DataError(f"{where} has no column of pictures", hint=hint)


def _kind(type_: Any) -> str | None:
    from pyarrow import types

    if types.is_struct(type_):
        inner = {type_.field(place).name for place in range(type_.num_fields)}
        return "bytes" if inner & {"bytes", "path"} else None
    if types.is_binary(type_) or types.is_large_binary(type_):
        return "bytes"
    return "path" if types.is_string(type_) or types.is_large_string(type_) else None
