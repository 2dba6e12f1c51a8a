"""Lists of what to predict: pairs of an image and an expression as CSV or JSONL, and plain lines; from a file or from standard input.

image,expression
photos/cup.jpg,"the cup, the ""red"" one"

{"image": "photos/cup.jpg", "expression": "the red cup"}

Paths of images are as seen from the file's own folder, those of standard input as seen from the current one; URIs are taken as they are.
Other columns and fields are left alone.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.refer.records import Record, decode_text, json_lines, read_bytes
from cmirnet_cli.storage.uris import is_uri

STANDARD_INPUT = "-"
"""The name under which standard input is read."""

COLUMNS = ("image", "expression")


@dataclass(frozen=True)
class Pair:
    """An image and an expression that refers to something in it.

    Attributes:
        path: where the image is.
        written: the path as the list has it.
        expression: with at least one character other than a space.
        uri: where the image is in storage; empty for one on this machine, which the two paths are of.
    """

    path: Path
    written: Path
    expression: str
    uri: str = ""


def read_pairs(source: str) -> list[Pair]:
    """The pairs of a CSV file with a header, or of a JSONL file; which of them it is shows in its first character.

    Raises:
        AnnotationError: the list cannot be read or is empty; file, line and field are named.
    """
    text = _text(source)
    file = Path(source)
    folder = Path() if source == STANDARD_INPUT else file.parent
    is_jsonl = text.lstrip().startswith("{")
    records = [record for _, record in json_lines(text, file)] if is_jsonl else _csv_rows(text, file)
    pairs = [_pair(record, folder) for record in records]
    if not pairs:
        raise AnnotationError(f"{source} holds no pairs", hint="write one line per pair, with image and expression")
    return pairs


def _pair(record: Record, folder: Path) -> Pair:
    if is_uri(uri := record.text("image")):
        return Pair(Path(), Path(), record.expression(), uri)
    written = _written(record, folder)
    return Pair(folder / written, written, record.expression())


def _written(record: Record, folder: Path) -> Path:
    """The path that a record names; one of Windows counts too where there is no file of exactly that name."""
    name = record.path("image")
    return Path(name.replace("\\", "/") if "\\" in name and not (folder / name).exists() else name)


def read_lines(source: str) -> list[str]:
    """The lines of a text file without the spaces around them; those that hold nothing else are skipped.

    Raises:
        AnnotationError: it cannot be read or is empty.
    """
    lines = [line.strip() for line in _text(source).split("\n") if line.strip()]
    if any("\0" in line for line in lines):
        raise AnnotationError(f"{source} is not a list: it holds NUL characters", hint="write one entry per line, as text")
    if not lines:
        raise AnnotationError(f"{source} holds no lines", hint="write one entry per line")
    return lines


def streamed_lines() -> Iterator[str]:
    """The lines of standard input as `read_lines` has them, one by one as they come; none where it is empty.

    Raises:
        AnnotationError: a line is no text; while lines are taken.
    """
    for number, raw in enumerate(sys.stdin.buffer, start=1):
        line = decode_text(raw, f"line {number} of standard input").strip()
        if "\0" in line:
            raise AnnotationError(f"line {number} of standard input holds NUL characters", hint="write one entry per line, as text")
        if line:
            yield line


def _text(source: str) -> str:
    return decode_text(sys.stdin.buffer.read() if source == STANDARD_INPUT else read_bytes(Path(source)), source)


def _csv_rows(text: str, file: Path) -> Iterator[Record]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise AnnotationError(f"{file} has no column {missing[0]!r}", hint="its first line must be: image,expression")
        for row in reader:
            yield Record.of(row, file, f"line {reader.line_num}")
    except csv.Error as error:
        raise AnnotationError(f"{file}: line {reader.line_num} is not CSV: {error}", hint="put cells with commas in quotes") from error
