"""One's own data: a JSONL file, one line a sentence.

{"image": "photos/cup.jpg", "expression": "the red cup", "mask": "masks/cup.png", "split": "train"}

`image` and `mask` are paths as seen from the file's own folder. In place of `mask` (a picture of the image's size, not black on
the object, and no JPEG) a line may have `polygons` ([[x0, y0, x1, y1, …], …], pixels) or `rle` (COCO's, or a list of them). An
empty list says that the expression refers to nothing in the image.

Pictures are taken as people see them: the EXIF orientation of a photograph is applied, and outlines are those of the upright
picture. (REFER's data sets are drawn on the stored pixels instead, and EXIF is ignored there.)
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pycocotools import mask as coco

from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.images import Segmentation
from cmirnet_cli.images.masks import rasterise
from cmirnet_cli.images.pixels import UnreadableImageError, open_image, pil_at_work, upright_size
from cmirnet_cli.refer.layout import is_path
from cmirnet_cli.refer.records import Record, parse_json, read_bytes
from cmirnet_cli.refer.referent import ImageRecord, ReferDataset, Referent, Sentence

SPLIT_BY = "jsonl"
_OUTLINES: dict[str, tuple[type, ...]] = {"mask": (str,), "polygons": (list,), "rle": (dict, list)}
_BLURRING = frozenset({"JPEG", "MPO"})
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
    _refuse_streams(file)
    lines = _Lines(file)
    referents = tuple(lines.referent(number, text) for number, text in enumerate(_text_lines(file), start=1) if text.strip())
    if not referents:
        raise AnnotationError(f"{file} is empty", hint="one line a sentence, with image, expression, mask, split")
    return ReferDataset(file.stem, SPLIT_BY, referents, (file,))


def _refuse_streams(file: Path) -> None:
    with suppress(OSError):  # what may not be looked at may not be read either, and that is said then
        if file.exists() and not file.is_file():
            raise AnnotationError(f"{file} is no regular file", hint="save the lines in one: they are read more than once")


def _text_lines(file: Path) -> list[str]:
    try:
        return read_bytes(file).decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{file} is not UTF-8 text: {error}", hint="save it as UTF-8") from error


class _Lines:
    """Reads lines; every image and mask file is opened once."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.images: dict[str, ImageRecord] = {}
        self.masks: dict[str, list[Any]] = {}

    def referent(self, number: int, text: str) -> Referent:
        where = f"line {number}"
        line = Record.of(parse_json(text, f"{self.file}: {where}"), self.file, where)
        image = self.image(line)
        return Referent(
            ref_id=number,
            split=line.label("split"),
            image=image,
            category="",
            objects=self.objects(line, image),
            sentences=(Sentence(number, _expression(line)),),
        )

    def image(self, line: Record) -> ImageRecord:
        name = _path(line, "image")
        if name not in self.images:
            path = self.file.parent / name
            width, height = _size(path)
            self.images[name] = ImageRecord(name, path, height, width, upright=True)
        return self.images[name]

    def objects(self, line: Record, image: ImageRecord) -> tuple[Segmentation, ...]:
        given = [key for key in _OUTLINES if key in line.fields]
        if len(given) != 1:
            raise line.refused(f"it must have one of the fields {', '.join(_OUTLINES)}, but has {' and '.join(given) or 'none'}")
        key = given[0]
        if not isinstance(line.value(key), _OUTLINES[key]):
            raise line.wrong(key, " or ".join(_KINDS[kind] for kind in _OUTLINES[key]))
        outline = self.mask(line, image) if key == "mask" else line.value(key)
        objects = () if outline == [] else (outline,)
        if image.height:
            _check(objects, image, line)
        return objects

    def mask(self, line: Record, image: ImageRecord) -> list[Any]:
        name = _path(line, "mask")
        if name not in self.masks:
            self.masks[name] = [_mask_file_as_rle(self.file.parent / name, image, line)]
        return self.masks[name]


def _expression(line: Record) -> str:
    text = line.text("expression")
    if not text.strip():
        raise line.refused("the expression is empty")
    return text


def _path(line: Record, key: str) -> str:
    name = line.text(key)
    if not is_path(name):
        raise line.wrong(key, "the path of a file")
    return name


def _check(objects: tuple[Segmentation, ...], image: ImageRecord, line: Record) -> None:
    try:
        rasterise(objects, image.height, image.width)
    except AnnotationError as error:
        raise line.refused(f"{error.message}; {error.hint}") from error


def _size(path: Path) -> tuple[int, int]:
    """(width, height) of the upright picture in an image file; (0, 0) if it cannot be opened."""
    try:
        with open_image(path) as picture:
            return upright_size(picture)
    except UnreadableImageError:
        return 0, 0


def _require_size(picture: Image.Image, path: Path, image: ImageRecord, line: Record) -> None:
    """Refuse a mask of another size than its image's, where that is known; before its pixels are decoded, which a PNG's EXIF needs."""
    wanted = image.width, image.height
    size = upright_size(picture) if sorted(picture.size) == sorted(wanted) else picture.size
    if image.height and size != wanted:
        raise line.refused(f"field 'mask': {path} is {size[0]}×{size[1]}, but its image is {image.width}×{image.height}")


def _require_exact(picture: Image.Image, path: Path, line: Record) -> None:
    if picture.format in _BLURRING:
        raise line.refused(f"field 'mask': {path} is a JPEG file, in which black is not quite black; draw the line and save it as PNG")


def _shades(picture: Image.Image) -> NDArray[Any]:
    """(H, W), upright: zero is black, in the numbers that the file has where they have more than 8 bits."""
    with pil_at_work():
        upright = ImageOps.exif_transpose(picture)
        is_deep = upright.mode.startswith(("I", "F"))
        return np.asarray(upright if is_deep else upright.convert("L"))


def _mask_file_as_rle(path: Path, image: ImageRecord, line: Record) -> dict[str, Any]:
    """A picture that is not black on the object, as COCO's compressed RLE."""
    try:
        with open_image(path) as stored:
            _require_size(stored, path, image, line)
            _require_exact(stored, path, line)
            pixels = _shades(stored) != 0
    except UnreadableImageError as error:
        raise line.refused(f"field 'mask': {path} cannot be read: {error}") from error
    rle = coco.encode(np.asfortranarray(pixels, dtype=np.uint8))
    return {"size": list(pixels.shape), "counts": rle["counts"].decode("ascii")}
