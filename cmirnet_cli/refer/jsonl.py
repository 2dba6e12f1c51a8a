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
from PIL import Image, ImageOps
from pycocotools import mask as coco

from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.images import Segmentation
from cmirnet_cli.images.masks import rasterise
from cmirnet_cli.images.pixels import UnreadableImageError, open_image, pil_at_work, upright_size
from cmirnet_cli.refer.records import Record, decode_text, json_lines, read_bytes
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
    with suppress(OSError):  # a file that may not be looked at may not be read either, and `read_bytes` says so
        if file.exists() and not file.is_file():
            raise AnnotationError(f"{file} is no regular file", hint="save the lines in one: they are read more than once")
    lines = _Lines(file)
    referents = tuple(lines.referent(number, line) for number, line in json_lines(decode_text(read_bytes(file), file), file))
    if not referents:
        raise AnnotationError(f"{file} is empty", hint="one line a sentence, with image, expression, mask, split")
    return ReferDataset(file.stem, SPLIT_BY, referents, (file,))


class _Lines:
    """Reads lines; every image and mask file is opened once."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.images: dict[str, ImageRecord] = {}
        self.masks: dict[str, list[Any]] = {}

    def referent(self, number: int, line: Record) -> Referent:
        image = self.image(line)
        return Referent(
            ref_id=number,
            split=line.label("split"),
            image=image,
            category="",
            objects=self.objects(line, image),
            sentences=(Sentence(number, line.expression()),),
        )

    def image(self, line: Record) -> ImageRecord:
        name = line.path("image")
        if name not in self.images:
            path = self.file.parent / name
            width, height = _size(path)
            self.images[name] = ImageRecord(name, path, height, width, upright=True)
        return self.images[name]

    def objects(self, line: Record, image: ImageRecord) -> tuple[Segmentation, ...]:
        keys = [key for key in _OUTLINES if key in line.fields]
        if len(keys) != 1:
            raise line.refused(f"it must have one of the fields {', '.join(_OUTLINES)}, but has {' and '.join(keys) or 'none'}")
        (key,) = keys
        if not isinstance(line.value(key), _OUTLINES[key]):
            raise line.wrong(key, " or ".join(_KINDS[kind] for kind in _OUTLINES[key]))
        outline = self.mask(line, image) if key == "mask" else line.value(key)
        objects = () if outline == [] else (outline,)
        if image.height:
            try:
                rasterise(objects, image.height, image.width)
            except AnnotationError as error:
                raise line.refused(f"{error.message}; {error.hint}") from error
        return objects

    def mask(self, line: Record, image: ImageRecord) -> list[Any]:
        name = line.path("mask")
        if name not in self.masks:
            self.masks[name] = [_mask_file_as_rle(self.file.parent / name, image, line)]
        return self.masks[name]


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


def _mask_file_as_rle(path: Path, image: ImageRecord, line: Record) -> dict[str, Any]:
    """A picture that is not black on the object, as COCO's compressed RLE."""
    try:
        with open_image(path) as stored:
            _require_size(stored, path, image, line)
            if stored.format in _BLURRING:
                raise line.refused(
                    f"field 'mask': {path} is a JPEG file, in which black is not quite black; draw the line and save it as PNG"
                )
            with pil_at_work():
                upright = ImageOps.exif_transpose(stored)
                is_deep = upright.mode.startswith(("I", "F"))  # more than 8 bits, of which the lowest may be all there is
                pixels = np.asarray(upright if is_deep else upright.convert("L")) != 0
    except UnreadableImageError as error:
        raise line.refused(f"field 'mask': {path} cannot be read: {error}") from error
    rle = coco.encode(np.asfortranarray(pixels, dtype=np.uint8))
    return {"size": list(pixels.shape), "counts": rle["counts"].decode("ascii")}
