"""What every reader of one's own files shares: its options, where the text is, and who goes into which split."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

from cmirnet_cli.errors import AnnotationError, UsageError, listed
from cmirnet_cli.images import Segmentation
from cmirnet_cli.refer.records import Record, parse_json, read_bytes
from cmirnet_cli.refer.referent import ImageRecord, Oddity, Referent, Sentence

TRAIN, VAL, TEST = "train", "val", "test"
SPLIT_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("train", "training", "trainval"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev"), VAL),
    **dict.fromkeys(("test", "testing"), TEST),
}
"""What people call splits, in small letters → what it is called here. Any other name is taken as it stands."""

TEXT_FIELDS = ("expression", "phrase", "caption", "sentence", "referring_expression", "description", "text")
"""Fields that are looked at for the text, in this order; the plural, a list, is looked at as well."""

_USUAL_FIELDS = tuple(name for field in TEXT_FIELDS for name in (field, f"{field}s"))

NO_SPLIT = ""
"""The split of referents whose files name none, until `divided` deals them out."""


def _raise(error: AnnotationError) -> None:
    raise error


@dataclass(frozen=True)
class ReadOptions:
    """How one's own files are read.

    Attributes:
        text: the field or attribute that holds the expression; None looks for the usual ones.
        images: the folder of the photographs; None looks beside the annotations.
        val_share: the part of the images that becomes `val` where the files name no splits, 0 to 1.
        upright: whether outlines were drawn on the photographs as people see them, or as they are stored, whatever EXIF says; None: as
            the annotated size shows.
        notice: takes a sentence about what a reader left out.
        fault: takes the error about a record that cannot be read; the reader goes on with the next one.
        nothing: takes the error that no record can be used, after the last one; where there are faults, these say why.

    Raises:
        UsageError: it is not a share.
    """

    text: str | None = None
    images: Path | None = None
    val_share: float = 0.1
    upright: bool | None = None
    notice: Callable[[str], None] = field(default=lambda message: None, compare=False)
    fault: Callable[[AnnotationError], None] = field(default=_raise, compare=False)
    nothing: Callable[[AnnotationError], None] = field(default=_raise, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.val_share < 1:
            raise UsageError(f"--val-share {self.val_share:g} is not a share", hint="give a number from 0 to less than 1, such as 0.1")


USUAL_OPTIONS = ReadOptions()

_LOOKED_AT = 3
"""How many files of a folder that has one for each image are looked at to recognise it: some other JSON may lie there too."""


@lru_cache(maxsize=1)
def _parsed(file: Path, size: int, changed: int) -> Any:
    return parse_json(read_bytes(file), str(file))


def json_of(file: Path) -> Any:
    """The JSON value in a file; the last one is kept, for recognising a file and reading it are two looks at the same value.

    Raises:
        AnnotationError: it cannot be read, or is not JSON.
    """
    try:
        state = file.stat()
    except OSError as error:
        raise AnnotationError(f"{file} cannot be read: {error.strerror}", hint="check that the file is there and may be read") from error
    return _parsed(file, state.st_size, state.st_mtime_ns)


def json_or_none(file: Path) -> Any:
    """As `json_of`; None for anything that is not a readable JSON file, whatever its name ends in."""
    try:
        with file.open("rb") as opened:
            start = opened.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
        return json_of(file) if start[:1] in (b"{", b"[") else None
    except (OSError, AnnotationError):
        return None


def texts_of(record: Record, options: ReadOptions) -> list[str]:
    """The expressions of a record: from the chosen field, or from the usual ones; of the record or of its `attributes`.

    Raises:
        AnnotationError: the field holds something else than text.
    """
    attributes = record.fields.get("attributes")
    places = [record, *([Record(attributes, record.file, f"{record.name}: attributes")] if isinstance(attributes, dict) else [])]
    names = (options.text,) if options.text else _USUAL_FIELDS
    for place in places:
        for name in names:
            if place.fields.get(name) not in (None, "", []):
                return _texts(place, name)
    return []


def _texts(record: Record, name: str) -> list[str]:
    value = record.value(name)
    texts = []
    for each in value if isinstance(value, list) else [value]:
        plain = next((each[key] for key in ("raw", "sent", "text", "expression") if key in each), each) if isinstance(each, dict) else each
        text = Record({name: plain}, record.file, record.name).text(name)
        if text.strip():
            texts.append(text)
    return texts


def no_text(file: Path, fields: Counter[str], options: ReadOptions, other_way: str = "") -> AnnotationError:
    """The error that says that no record of a file has an expression, with the fields that it has; `other_way` is one to get a text."""
    there = f"the fields are {listed([name for name, _ in fields.most_common()], 12)}" if fields else "there are no fields at all"
    looked = f"the field {options.text!r}" if options.text else f"one of {', '.join(TEXT_FIELDS)}"
    hint = ", or ".join(filter(None, ["choose the field with --text FIELD", other_way]))
    return AnnotationError(f"{file}: no annotation has {looked}; {there}", hint=hint)


def split_of(name: str) -> str:
    """A split by its name here: `valid` is `val`."""
    return SPLIT_NAMES.get(name.lower(), name)


def divided(referents: Iterable[Referent], share: float, notice: Callable[[str], None]) -> Iterator[Referent]:
    """The referents; those of no split are dealt out to `train` and `val` by image, the same way in every run.

    An image's place follows from its name alone: the images whose names have the lowest SHA-256 become `val`.
    """
    referents = list(referents)
    names = {str(each.image.image_id) for each in referents if each.split == NO_SPLIT}
    size = 0 if share == 0 or len(names) < 2 else max(1, round(share * len(names)))
    val = set(sorted(names, key=lambda name: hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest())[:size])
    if names:
        notice(f"the files name no splits: {size:,} of {len(names):,} images become val, the others train (--val-share {share:g})")
    for each in referents:
        yield replace(each, split=VAL if str(each.image.image_id) in val else TRAIN) if each.split == NO_SPLIT else each


class Numbering:
    """Makes referents of one's own files, whose ids and those of whose sentences count from 1."""

    def __init__(self) -> None:
        self._refs, self._sentences = count(1), count(1)

    def referent(
        self,
        split: str,
        image: ImageRecord,
        objects: Sequence[Segmentation],
        texts: Sequence[str],
        category: str = "",
        record: str = "",
        oddity: Oddity | None = None,
    ) -> Referent:
        """The next referent: a sentence for each text; `category` may be empty; `record` and `oddity` as `Referent` has them."""
        sentences = tuple(Sentence(next(self._sentences), text) for text in texts)
        return Referent(next(self._refs), split, image, category, tuple(objects), sentences, record, oddity)


def holds_keys(value: object, *keys: str) -> bool:
    """Whether a value is a dict with all of these keys."""
    return isinstance(value, dict) and all(key in value for key in keys)


def json_files(path: Path) -> list[Path]:
    """A JSON file itself, or those right in a folder, by name."""
    if path.is_file():
        return [path]
    return sorted(file for file in path.glob("*.json") if file.is_file()) if path.is_dir() else []


def json_folders(path: Path) -> list[list[Path]]:
    """The JSON files at a path, and those of each folder in it that is called like a split; places without any are left out."""
    folders = sorted(each for each in path.iterdir() if each.is_dir() and each.name.lower() in SPLIT_NAMES) if path.is_dir() else []
    return [files for files in map(json_files, [path, *folders]) if files]


def files_of_format(path: Path, is_one: Callable[[Path], bool]) -> list[Path]:
    """The JSON files of those folders, as `json_folders` has them, whose first files are of a format that has one for each image."""
    return [file for files in json_folders(path) if any(map(is_one, files[:_LOOKED_AT])) for file in files]


def split_of_folder(file: Path) -> str:
    """The split that a file's folder is called like, or none."""
    return split_of(file.parent.name) if file.parent.name.lower() in SPLIT_NAMES else NO_SPLIT


def points_of(shape: Record) -> list[tuple[float, float]]:
    """The corners [[x, y], …] in a shape's field `points`. Raises AnnotationError."""
    points = shape.items("points")
    if not all(isinstance(each, list) and len(each) == 2 and all(type(number) in (int, float) for number in each) for each in points):
        raise shape.wrong("points", "a list of [x, y]")
    return [(x, y) for x, y in points]


def flat(points: Sequence[tuple[float, float]]) -> list[float]:
    """Corners as COCO's polygon: x, y, x, y, …"""
    return [number for point in points for number in point]
