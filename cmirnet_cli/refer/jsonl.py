"""One's own data: a JSONL file, one line a sentence.

{"image": "photos/cup.jpg", "expression": "the red cup", "mask": "masks/cup.png", "split": "train"}

`image` and `mask` are paths as seen from the file's own folder. In place of `mask` (a picture of the image's size, not black on
the object, and no JPEG) a line may have `polygons` ([[x0, y0, x1, y1, …], …], pixels) or `rle` (COCO's, or a list of them). An
empty list says that the expression refers to nothing in the image.

The same objects may also stand in one JSON array, or be pretty-printed one after the other.

Pictures are taken as people see them: the EXIF orientation of a photograph is applied, and outlines are those of the upright
picture. (REFER's data sets are drawn on the stored pixels instead, and EXIF is ignored there.)
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image

from cmirnet_cli.errors import AnnotationError, UsageError, listed
from cmirnet_cli.images import Segmentation
from cmirnet_cli.images.mask_files import MaskOddity, MaskPicture, read_mask
from cmirnet_cli.images.masks import coco_rle, rasterise
from cmirnet_cli.images.pixels import UnreadableImageError, open_image, upright_size
from cmirnet_cli.refer.own import NO_SPLIT, ReadOptions
from cmirnet_cli.refer.records import LONGEST_TEXT, Record, adding_to, decode_text, parse_json, read_bytes, require_no_faults
from cmirnet_cli.refer.referent import ImageRecord, ReferDataset, Referent, Sentence

SPLIT_BY = "jsonl"
_OUTLINES: dict[str, tuple[type, ...]] = {"mask": (str,), "polygons": (list,), "rle": (dict, list)}
_START = 1 << 16
_AFTER = re.compile(r"[\s,]*(?:\][\s]*$)?")
_KINDS: dict[type, str] = {str: "a path", list: "a list", dict: "an RLE"}


def read_jsonl(file: Path) -> ReferDataset:
    """Read a JSONL file; each line is one referent with one sentence, and its line number is the id of both.

    The data set is called like the file, without its suffix.

    An image that is missing or unreadable is not an error here: its record has the size 0×0.

    Args:
        file: the JSONL file; empty lines are skipped.

    Raises:
        AnnotationError: a line cannot be read; file, line number and field are named.
    """
    with suppress(OSError):  # a file that may not be looked at may not be read either, and `read_bytes` says so
        if file.exists() and not file.is_file():
            raise AnnotationError(f"{file} is not a regular file", hint="save the lines in one: they are read more than once")
    wrong: list[AnnotationError] = []
    referents = tuple(_referents(file, adding_to(wrong)))
    require_no_faults(file, wrong, "lines")
    return ReferDataset(file.stem, SPLIT_BY, referents, (file,))


def _referents(file: Path, fault: Callable[[AnnotationError], None], undivided: bool | None = False) -> Iterator[Referent]:
    lines, number = _Lines(file, undivided), 0
    for number, where, value in _values(decode_text(read_bytes(file), file)):
        try:
            fields = parse_json(value, f"{file}: {where}") if isinstance(value, str) else value
            referent = lines.referent(number, Record.of(fields, file, where))
        except AnnotationError as error:
            fault(error)
        else:
            yield referent
    if not number:
        raise AnnotationError(f"{file} is empty", hint="write one line per sentence, with image, expression, mask, split")


def files(path: Path) -> list[Path]:
    """The JSONL files at a path: the file itself, or those right in a folder."""
    places = [path] if path.is_file() else sorted(path.glob("*.json*")) if path.is_dir() else []
    return [file for file in places if file.is_file() and is_jsonl(file)]


def read(path: Path, options: ReadOptions) -> Iterator[Referent]:
    """The referents of the JSONL file at a path.

    Raises:
        UsageError: a folder holds several; or `--text` or `--upright` is given, which say nothing here.
        AnnotationError: as for `read_jsonl`.
    """
    if options.text:
        raise UsageError("--text does not apply to JSONL", hint="its expressions are in the field `expression`")
    if options.upright is not None:
        raise UsageError("--upright and --no-upright do not apply to JSONL", hint="its pictures are always taken as people see them")
    there = files(path)
    if len(there) > 1:
        raise UsageError(f"{path} holds {listed([file.name for file in there])}", hint="name one of these files")
    yield from _referents(there[0] if there else path, options.fault, undivided=None)


def is_jsonl(file: Path) -> bool:
    """Whether a file begins as one of lines, or of an array, of objects with an image and an expression; its suffix does not count."""
    try:
        with file.open("rb") as opened:
            start = opened.read(_START)
        _, _, first = next(_values(start.decode("utf-8-sig", "ignore")))
        fields = json.loads(first) if isinstance(first, str) else first
    except (OSError, ValueError, RecursionError, StopIteration):
        return False
    return isinstance(fields, dict) and {"image", "expression"} <= fields.keys()


def _values(text: str) -> Iterator[tuple[int, str, Any]]:
    """Number, name and value of each object: a line as text, not parsed yet; an element of an array, or a pretty-printed object, parsed."""
    start = text.lstrip()
    if not start.startswith("[") and start.split("\n", 1)[0].strip() != "{":
        lines = enumerate(text.split("\n"), start=1)  # that a comma stands after each, as in an array, is an easy slip
        yield from ((number, f"line {number}", line.rstrip().removesuffix(",")) for number, line in lines if line.strip())
        return
    decoder, place, number = json.JSONDecoder(), len(text) - len(start) + start.startswith("["), 0
    while (place := _AFTER.match(text, place).end()) < len(text):  # type: ignore[union-attr]  # it matches nothing, too
        number += 1
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            yield number, f"object {number}", text[place : place + LONGEST_TEXT]
            return
        yield number, f"object {number}", value


class _Lines:
    """Reads lines; every image and mask file is opened once."""

    def __init__(self, file: Path, undivided: bool | None) -> None:
        """`undivided`: whether lines may lack a split; None: if the first one does."""
        self.file = file
        self.undivided = undivided
        self.images: dict[str, ImageRecord] = {}
        self.masks: dict[str, tuple[list[Any], MaskOddity | None]] = {}

    def referent(self, number: int, line: Record) -> Referent:
        image = self.image(line)
        objects, oddity = self.objects(line, image)
        return Referent(
            ref_id=number,
            split=self.split(line),
            image=image,
            category="",
            objects=objects,
            sentences=(Sentence(number, line.expression()),),
            record=line.name,
            oddity=oddity,
        )

    def split(self, line: Record) -> str:
        if self.undivided is None:
            self.undivided = "split" not in line.fields
        return NO_SPLIT if self.undivided and "split" not in line.fields else line.label("split")

    def image(self, line: Record) -> ImageRecord:
        name = line.path("image")
        if name not in self.images:
            path = self._place(name)
            width, height = _size(path)
            self.images[name] = ImageRecord(name, path, height, width, upright=True)
        return self.images[name]

    def objects(self, line: Record, image: ImageRecord) -> tuple[tuple[Segmentation, ...], MaskOddity | None]:
        keys = [key for key in _OUTLINES if key in line.fields]
        if len(keys) != 1:
            raise line.refused(f"it must have one of the fields {', '.join(_OUTLINES)}, but has {' and '.join(keys) or 'none'}")
        (key,) = keys
        if not isinstance(line.value(key), _OUTLINES[key]):
            raise line.wrong(key, " or ".join(_KINDS[kind] for kind in _OUTLINES[key]))
        outline, oddity = self.mask(line, image) if key == "mask" else (line.value(key), None)
        objects = () if outline == [] else (outline,)
        if image.height:
            try:
                rasterise(objects, image.height, image.width)
            except AnnotationError as error:
                raise line.refused(f"{error.message}; {error.hint}") from error
        return objects, oddity

    def mask(self, line: Record, image: ImageRecord) -> tuple[list[Any], MaskOddity | None]:
        name = line.path("mask")
        if name not in self.masks:
            drawn = _read_mask_file(self._place(name), image, line)
            self.masks[name] = [coco_rle(drawn.pixels)], drawn.oddity
        return self.masks[name]

    def _place(self, name: str) -> Path:
        """Where a file lies, as seen from the lines'; a path of Windows counts too where there is no file of exactly that name."""
        path = self.file.parent / name
        return self.file.parent / name.replace("\\", "/") if "\\" in name and not path.is_file() else path


def _size(path: Path) -> tuple[int, int]:
    """(width, height) of the upright picture in an image file; (0, 0) if it cannot be opened."""
    try:
        with open_image(path) as picture:
            return upright_size(picture)
    except UnreadableImageError:
        return 0, 0


def _require_size(picture: Image.Image, path: Path, image: ImageRecord, line: Record) -> None:
    """Refuse a mask of another size than its image's, where that is known; before its pixels are decoded, which a PNG's EXIF needs."""
    expected = image.width, image.height
    size = upright_size(picture) if sorted(picture.size) == sorted(expected) else picture.size
    if image.height and size != expected:
        raise line.refused(f"field 'mask': {path} is {size[0]}×{size[1]}, but its image is {image.width}×{image.height}")


def _read_mask_file(path: Path, image: ImageRecord, line: Record) -> MaskPicture:
    try:
        with open_image(path) as stored:
            _require_size(stored, path, image, line)
            return read_mask(stored)
    except UnreadableImageError as error:
        raise line.refused(f"field 'mask': {path} cannot be used: {error}") from error
