"""Records of annotation files, read field by field, and COCO's `instances.json`: every error names the file, the record and the field."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cmirnet_cli.errors import AnnotationError, shown

LONGEST_TEXT = 10_000
"""Characters. A network reads 20 tokens of a sentence; a longer text than this is a damaged or hostile file."""

LONGEST_LABEL = 100
"""Characters of a name that is typed and printed, such as a split's."""

_ID_LIMIT = 1 << 63
_LONGEST_PATH, _LONGEST_NAME = 2048, 255
"""Bytes of a path and of each of its parts, as file systems have it."""


def read_bytes(path: Path) -> bytes:
    """The content of `path`. Raises AnnotationError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise AnnotationError(f"{path} cannot be read: {error.strerror}", hint="check that the file is there and may be read") from error


def decode_text(data: bytes, source: Path | str) -> str:
    """UTF-8 text, with or without a byte order mark. Raises AnnotationError that begins with `source`."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{source} is not UTF-8 text: {error}", hint="save it as UTF-8") from error


def is_path(text: str) -> bool:
    """Whether a file system can hold a file of this path."""
    return 0 < len(text.encode()) <= _LONGEST_PATH and all(len(part.encode()) <= _LONGEST_NAME for part in PurePosixPath(text).parts)


def stays_inside(text: str) -> bool:
    """Whether a path leads to a place below the folder it is read from."""
    path = PurePosixPath(text)
    return not path.is_absolute() and ".." not in path.parts


def parse_json(text: bytes | str, where: str) -> Any:
    """The JSON value in `text`. Raises AnnotationError that begins with `where`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{where} is not valid JSON: {error}", hint="the file may be cut off; fetch or write it again") from error


@dataclass(frozen=True, slots=True)
class Record:
    """One dict of an annotation file.

    Attributes:
        fields: what the file says.
        file: the file.
        name: which record of the file this is, in words: "ref 12", "image 581857".
    """

    fields: Mapping[str, Any]
    file: Path
    name: str

    @classmethod
    def of(cls, value: object, file: Path, name: str) -> Record:
        """`value` as a record. Raises AnnotationError unless it is a dict."""
        if not isinstance(value, dict):
            raise AnnotationError(f"{file}: {name} is not a dict but {shown(value)}", hint="correct the file, or fetch it again")
        return cls(value, file, name)

    def refused(self, problem: str) -> AnnotationError:
        """The error that says `problem` about this record."""
        return AnnotationError(f"{self.file}: {self.name}: {problem}", hint="correct this record in the file, or fetch the file again")

    def value(self, key: str) -> Any:
        """The field `key`, of whatever type."""
        try:
            return self.fields[key]
        except KeyError:
            raise self.refused(f"field {key!r} is missing") from None

    def wrong(self, key: str, expected: str) -> AnnotationError:
        """The error that says field `key` is not `expected`."""
        return self.refused(f"field {key!r} is {shown(self.value(key))}; it must be {expected}")

    def integer(self, key: str) -> int:
        """The field `key`, which must be an integer of 64 bits."""
        value = self.value(key)
        if type(value) is not int or not -_ID_LIMIT <= value < _ID_LIMIT:
            raise self.wrong(key, "an integer of 64 bits")
        return value

    def identifier(self, key: str) -> int | str:
        """The field `key`, which must be an integer of 64 bits or text."""
        return self.text(key) if isinstance(self.value(key), str) else self.integer(key)

    def items(self, key: str) -> list[Any]:
        """The field `key`, which must be a list."""
        value = self.value(key)
        if type(value) is not list:
            raise self.wrong(key, "a list")
        return value

    def ids(self, key: str) -> list[int | str]:
        """The field `key`, one id or a list of ids, as a list; each must be as `identifier` has it."""
        value = self.value(key)
        each = value if type(value) is list else [value]
        if any(type(one) not in (int, str) for one in each):
            raise self.wrong(key, "an id or a list of ids")
        return [Record({key: one}, self.file, self.name).identifier(key) for one in each]

    def label(self, key: str) -> str:
        """The field `key`, which must be a short name: 1 to `LONGEST_LABEL` printable characters."""
        value = self.text(key)
        if not 0 < len(value) <= LONGEST_LABEL or not value.isprintable():
            raise self.wrong(key, f"a name of 1 to {LONGEST_LABEL} printable characters")
        return value

    def text(self, key: str) -> str:
        """The field `key`, which must be text that can be stored: valid Unicode, no NUL, at most `LONGEST_TEXT` characters."""
        value = self.value(key)
        if type(value) is not str:
            raise self.wrong(key, "text")
        if len(value) > LONGEST_TEXT:
            raise self.wrong(key, f"text of at most {LONGEST_TEXT} characters, not {len(value)}")
        if "\0" in value or not (value.isascii() or _is_unicode(value)):
            raise self.wrong(key, "valid Unicode text without NUL")
        return value

    def path(self, key: str) -> str:
        """The field `key`, which must be the path of a file."""
        value = self.text(key)
        if not is_path(value):
            raise self.wrong(key, "the path of a file")
        return value

    def expression(self) -> str:
        """The field `expression`, which must hold a character other than a space."""
        value = self.text("expression")
        if not value.strip():
            raise self.refused("the expression is empty")
        return value


def json_lines(text: str, file: Path) -> Iterator[tuple[int, Record]]:
    """The lines of a JSONL file with their numbers, from 1; lines of spaces are skipped. Raises AnnotationError."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"line {number}"
            yield number, Record.of(parse_json(line, f"{file}: {where}"), file, where)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


Id = int | str
"""COCO's ids are integers; refclef's annotations have text."""


@dataclass(frozen=True)
class Instances:
    """The three lists of an instances file by id. Beyond their ids, images and annotations are as the file has them."""

    file: Path
    images: Mapping[Id, Mapping[str, Any]]
    annotations: Mapping[Id, Mapping[str, Any]]
    categories: Mapping[Id, str]


def read_instances(file: Path, value: object = None) -> Instances:
    """Index an instances file, or its JSON value where that was read before.

    It may hold many annotations that no referent uses; they are not looked into.

    Raises:
        AnnotationError: it is not JSON, lacks one of its lists, or gives one id to two different records.
    """
    top = Record.of(parse_json(read_bytes(file), str(file)) if value is None else value, file, "the top level")
    return Instances(
        file=file,
        images=_by_id(top, "images"),
        annotations=_by_id(top, "annotations"),
        categories={id_: Record(fields, file, f"category {shown(id_)}").text("name") for id_, fields in _by_id(top, "categories").items()},
    )


def _by_id(top: Record, key: str) -> dict[Id, dict[str, Any]]:
    index: dict[Id, dict[str, Any]] = {}
    for position, fields in enumerate(top.items(key)):
        record = Record.of(fields, top.file, f"{key}[{position}]")
        id_ = record.identifier("id")
        known = index.setdefault(id_, fields)
        if known is not fields and not _same(known, fields):
            raise record.refused(f"field 'id' is {shown(id_)}, which belongs to a different record already")
    return index


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two records say the same; if they are nested too deeply to compare, they do not."""
    try:
        return one == other
    except RecursionError:
        return False


def adding_to(faults: list[AnnotationError]) -> Callable[[AnnotationError], None]:
    """Adds errors to a list, without the frames that they come from: these would keep alive all that was read there."""
    return lambda error: faults.append(AnnotationError(error.message, error.hint))


SHOWN = 20
"""How many faults of one file an error lists."""


def require_no_faults(file: Path, faults: Sequence[AnnotationError], what: str = "records") -> None:
    """Refuse a file or folder whose records have faults.

    Raises:
        AnnotationError: there are faults; it lists the first of them.
    """
    if len(faults) == 1:
        raise faults[0]
    if faults:
        more = f"\n  and {len(faults) - SHOWN:,} more" if len(faults) > SHOWN else ""
        reasons = "\n".join(f"  {fault.message}" for fault in faults[:SHOWN])
        hint = "; ".join(filter(None, (faults[0].hint, "--skip-bad leaves such records out")))
        raise AnnotationError(f"{file}: {len(faults):,} {what} cannot be read:\n{reasons}{more}", hint=hint)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Millions of small lists and dicts make Python look for cycles again and again, which doubles the time to read them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
