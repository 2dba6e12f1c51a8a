"""LabelMe: a folder of JSON files, one an image, each with the shapes that were drawn on it.

    {"imagePath": "1.jpg", "imageWidth": 640, "imageHeight": 480,
     "shapes": [{"label": "cup", "description": "the red cup", "shape_type": "polygon", "points": [[10, 20], …], "group_id": null}]}

The expression is a shape's description, or its label where it has none; `--text label` and `--text description` choose. Shapes of
one group (`group_id`) with the same expression are one referent. Polygons, rectangles, circles and masks are read; lines and points
have no area and are left out. A picture that lies nowhere is unpacked from `imageData` into the folder `pictures`. Splits are the
folders that the files lie in (`train/ val/ test/`), or none.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cmirnet_cli.errors import AnnotationError, listed
from cmirnet_cli.images import Segmentation
from cmirnet_cli.images.mask_files import MaskOddity, read_mask
from cmirnet_cli.images.masks import coco_rle
from cmirnet_cli.images.pixels import UnreadableImageError, open_image
from cmirnet_cli.refer.own import (
    Numbering,
    ReadOptions,
    files_of_format,
    flat,
    holds_keys,
    json_of,
    json_or_none,
    no_text,
    points_of,
    split_of_folder,
)
from cmirnet_cli.refer.own_images import PICTURES, OwnImages, unpacked
from cmirnet_cli.refer.records import Record
from cmirnet_cli.refer.referent import ImageRecord, Referent

_CIRCLE_CORNERS = 64
_TURNED = ("rotation", "oriented_rectangle")
"""What X-AnyLabeling and newer LabelMes call a rectangle that stands askew; its points are its corners."""
_NO_AREA = ("point", "line", "linestrip", "points")


def files(path: Path) -> list[Path]:
    """The LabelMe files at a path: the file itself, those right in a folder, or those in folders that are called like splits."""
    return files_of_format(path, _is_labelme)


def _is_labelme(file: Path) -> bool:
    return holds_keys(top := json_or_none(file), "shapes", "imagePath") and isinstance(top["shapes"], list)


def read(path: Path, options: ReadOptions) -> Iterator[Referent]:
    """The referents of all LabelMe files at a path.

    Raises:
        AnnotationError: a file or a shape is malformed, or no shape has a text.
    """
    numbering, fields, made, left = Numbering(), Counter[str](), 0, 0
    for file in files(path):
        groups: dict[tuple[object, str], list[Record]] = {}
        try:
            top = Record.of(json_of(file), file, "the top level")
            images = OwnImages(path, [file.parent, file.parent / "images", file.parent.parent / "images", file.parent / PICTURES], options)
            image = _image(top, images, options)
            for position, each in enumerate(top.items("shapes")):
                shape = Record.of(each, file, f"shapes[{position}]")
                fields.update(shape.fields.keys())
                text = _text(shape, options)
                if not text or shape.fields.get("shape_type") in _NO_AREA:
                    left += 1
                    continue
                group = shape.fields.get("group_id")
                groups.setdefault((position if group is None else f"group {group}", text), []).append(shape)
        except AnnotationError as error:
            options.fault(error)
            continue
        for (_, text), shapes in groups.items():
            label, name = str(shapes[0].fields.get("label") or ""), f"{file.name}: {listed([shape.name for shape in shapes], 3)}"
            try:
                outlines = [_outline(shape, image.height, image.width) for shape in shapes]
            except AnnotationError as error:
                options.fault(error)
                continue
            made += 1
            oddity = next((oddity for _, oddity in outlines if oddity), None)
            objects = [outline for outline, _ in outlines]
            yield numbering.referent(split_of_folder(file), image, objects, [text], label if label != text else "", name, oddity)
    if not made:
        options.nothing(no_text(path, fields, options, "take the labels with --text label"))
    if left:
        options.notice(f"{path}: {left:,} shapes without a text or an area are left out")


def _image(top: Record, images: OwnImages, options: ReadOptions) -> ImageRecord:
    """The image beside a file, or else the one that stands in the file itself, which is unpacked."""
    image = images.record(top.text("imagePath"), top, *_size(top))
    if image.path.is_file() or not isinstance(stored := top.fields.get("imageData"), str):
        return image
    try:
        content = base64.b64decode(stored, validate=True)
    except ValueError as error:
        raise top.refused(f"field 'imageData' is not a picture: {error}") from error
    return images.record(unpacked(content, options.images or top.file.parent / PICTURES), top, *_size(top))


def _text(shape: Record, options: ReadOptions) -> str:
    for name in [options.text] if options.text else ("description", "label"):
        if shape.fields.get(name) not in (None, ""):
            return shape.text(name).strip()
    return ""


def _size(top: Record) -> tuple[int, int]:
    given = {"imageWidth", "imageHeight"} <= {key for key, value in top.fields.items() if value is not None}
    return (top.integer("imageWidth"), top.integer("imageHeight")) if given else (0, 0)


def _outline(shape: Record, height: int, width: int) -> tuple[Segmentation, MaskOddity | None]:
    """The outline of a shape in one of COCO's forms, in an image of height × width pixels, and what is odd about its picture."""
    kind, points = shape.fields.get("shape_type") or "polygon", points_of(shape)
    if kind == "mask":
        return _mask(shape, points, height, width)
    if kind == "rectangle" and len(points) >= 2:
        (left, top), (right, bottom) = np.min(points, axis=0).tolist(), np.max(points, axis=0).tolist()
        points = [(left, top), (right, top), (right, bottom), (left, bottom)]
    elif kind == "circle" and len(points) == 2:
        (x, y), radius = points[0], math.dist(*points)
        angles = [2 * math.pi * step / _CIRCLE_CORNERS for step in range(_CIRCLE_CORNERS)]
        points = [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]
    elif kind not in ("polygon", "rectangle", "circle", *_TURNED):
        raise shape.refused(f"its shape_type {kind!r} is not one of polygon, rectangle, {', '.join(_TURNED)}, circle, mask")
    if len(points) < 3:
        raise shape.refused(f"a {kind} of {len(points)} points has no area")
    return [flat(points)], None


def _mask(shape: Record, points: list[tuple[float, float]], height: int, width: int) -> tuple[dict[str, Any], MaskOddity | None]:
    """A mask that was drawn as a picture (base64 PNG) of its own box, whose corners are the points."""
    try:
        with open_image(io.BytesIO(base64.b64decode(shape.value("mask"), validate=True))) as stored:
            picture = read_mask(stored)
    except (binascii.Error, TypeError, ValueError, UnreadableImageError) as error:
        raise shape.refused(f"field 'mask' is not a picture: {error}") from error
    left, top = (round(number) for number in points[0]) if points else (0, 0)
    whole, drawn = np.zeros((height, width), dtype=bool), picture.pixels
    box = whole[max(top, 0) : top + drawn.shape[0], max(left, 0) : left + drawn.shape[1]]
    if left < 0 or top < 0 or box.shape != drawn.shape:
        raise shape.refused(f"its mask of {drawn.shape[1]}×{drawn.shape[0]} pixels at ({left}, {top}) leaves the image of {width}×{height}")
    box[:] = drawn
    return coco_rle(whole), picture.oddity if picture.oddity == "alpha" else None  # its box may well be full, and the border is its own
