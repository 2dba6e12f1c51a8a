"""CVAT for images 1.1: one XML file with all images and the shapes on them.

    <image id="0" name="1.jpg" width="640" height="480" subset="Train">
      <polygon label="cup" points="10,20;30,20;30,40"><attribute name="expression">the red cup</attribute></polygon>
    </image>

The expression is an attribute: `expression`, `phrase`, `caption`, `sentence`, `description`, `text`, or the only one that is text of a
shape with a single attribute; `--text NAME` chooses, `--text label` takes the label. Shapes of one `group_id` with the same expression
are one referent. Polygons, boxes, ellipses and masks are read; polylines, points and skeletons have no area and are left out.
Splits are the subsets of the images, or none.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from cmirnet_cli.errors import AnnotationError, listed
from cmirnet_cli.images import Segmentation
from cmirnet_cli.images.masks import coco_rle
from cmirnet_cli.refer.own import NO_SPLIT, TEXT_FIELDS, Numbering, ReadOptions, no_text, split_of
from cmirnet_cli.refer.own_images import OwnImages
from cmirnet_cli.refer.records import Record
from cmirnet_cli.refer.referent import Referent

_START = 4096
_ELLIPSE_CORNERS = 64
_OUTLINES = ("polygon", "box", "ellipse", "mask")
_NO_SUBSET = "default"
"""The subset of a task that was put into none."""
_NO_AREA = ("polyline", "points", "cuboid", "skeleton")


def files(path: Path) -> list[Path]:
    """The CVAT files at a path: the file itself, or those right in a folder."""
    places = [path] if path.is_file() else sorted(path.glob("*.xml")) if path.is_dir() else []
    return [file for file in places if _is_cvat(file)]


def _is_cvat(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            start = opened.read(_START)
    except OSError:
        return False
    return b"<annotations>" in start and (b"<version>1.1</version>" in start or b"<image " in start or b"<meta>" in start)


def read(path: Path, options: ReadOptions) -> Iterator[Referent]:
    """The referents of all CVAT files at a path. The XML is read image by image.

    Raises:
        AnnotationError: a file is not a complete XML file, declares entities, or a shape is malformed; or no shape has a text.
    """
    numbering, names, made, left = Numbering(), Counter[str](), 0, 0
    for file in files(path):
        images = OwnImages(path, [file.parent, file.parent / "images", file.parent / "data"], options)
        for element in _images(file):
            record = Record(dict(element.attrib), file, f"image {element.get('name', '')!r}")
            try:
                image = images.record(record.text("name"), record, _integer(record, "width"), _integer(record, "height"))
            except AnnotationError as error:
                options.fault(error)
                continue
            groups: dict[tuple[object, str], list[tuple[Record, str]]] = {}
            for position, shape in enumerate(each for each in element if each.tag in (*_OUTLINES, *_NO_AREA)):
                attributes = {each.get("name", ""): (each.text or "").strip() for each in shape.iter("attribute")}
                names.update(attributes.keys())
                text = _text(shape.get("label", ""), attributes, options)
                if not text or shape.tag in _NO_AREA:
                    left += 1
                    continue
                key = (shape.get("group_id") or position, text)
                groups.setdefault(key, []).append((Record(dict(shape.attrib), file, f"{record.name}: {shape.tag} {position}"), shape.tag))
            for (_, text), shapes in groups.items():
                try:
                    objects = tuple(_outline(shape, tag, image.height, image.width) for shape, tag in shapes)
                except AnnotationError as error:
                    options.fault(error)
                    continue
                made += 1
                subset = element.get("subset", NO_SPLIT)
                split = NO_SPLIT if subset.lower() == _NO_SUBSET else split_of(subset)
                category, name = shapes[0][0].fields.get("label", ""), listed([shape.name for shape, _ in shapes], 3)
                yield numbering.referent(split, image, objects, [text], category, name)
    if not made:
        options.nothing(_nothing(path, names, options))
    if left:
        options.notice(f"{path}: {left:,} shapes without a text or an area are left out")


def _nothing(path: Path, names: Counter[str], options: ReadOptions) -> AnnotationError:
    """The error that says why no shape of these files, which are whole XML, can be used."""
    tags = (element.tag for file in files(path) for _, element in ElementTree.iterparse(file, events=("start",)))
    if "track" in tags:
        problem = f"{path} is in the format CVAT for video, which has no image files"
        return AnnotationError(problem, hint="export the task again as CVAT for images 1.1")
    return no_text(path, names, options, "take the labels with --text label")


def _images(file: Path) -> Iterator[ElementTree.Element]:
    """Each <image> of a file; what was read is let go."""
    with file.open("rb") as opened:
        if b"<!DOCTYPE" in opened.read(_START):
            raise AnnotationError(f"{file} declares a document type, which CVAT never does", hint="export the annotations from CVAT again")
        opened.seek(0)
        try:
            for _, element in ElementTree.iterparse(opened):
                if element.tag == "image":
                    yield element
                    element.clear()
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            raise AnnotationError(f"{file} is not a complete XML file: {error}", hint="it may be cut off; export it again") from error


def _text(label: str, attributes: dict[str, str], options: ReadOptions) -> str:
    if options.text == "label":
        return label
    if options.text:
        return attributes.get(options.text, "")
    usual = [attributes[name] for name in TEXT_FIELDS if attributes.get(name)]
    return next(iter([*usual, *([each for each in attributes.values() if " " in each] if len(attributes) == 1 else [])]), "")


def _integer(record: Record, key: str) -> int:
    return int(_numbers(record, key)[0])


def _numbers(record: Record, key: str, separators: str = ",") -> list[float]:
    """The numbers in a field such as "10.5,20;30,40"."""
    text = record.text(key) if len(str(record.value(key))) <= 10_000 else record.value(key)
    for separator in separators:
        text = text.replace(separator, " ")
    try:
        numbers = [float(each) for each in text.split()]
    except ValueError:
        numbers = []
    if not numbers or not all(map(math.isfinite, numbers)):
        raise record.wrong(key, "numbers")
    return numbers


def _outline(shape: Record, tag: str, height: int, width: int) -> Segmentation:
    """The outline of a shape in one of COCO's forms, in an image of height × width pixels."""
    if tag == "mask":
        return _mask(shape, height, width)
    if tag == "polygon":
        return [_numbers(shape, "points", ",;")]
    if tag == "box":
        left, top, right, bottom = (_numbers(shape, key)[0] for key in ("xtl", "ytl", "xbr", "ybr"))
        return [[left, top, right, top, right, bottom, left, bottom]]
    x, y, across, down = (_numbers(shape, key)[0] for key in ("cx", "cy", "rx", "ry"))
    angles = [2 * math.pi * step / _ELLIPSE_CORNERS for step in range(_ELLIPSE_CORNERS)]
    return [[number for angle in angles for number in (x + across * math.cos(angle), y + down * math.sin(angle))]]


def _mask(shape: Record, height: int, width: int) -> dict[str, Any]:
    """A mask as run lengths along the rows of its box, the first of background."""
    left, top, across, down = (_integer(shape, key) for key in ("left", "top", "width", "height"))
    runs = [int(each) for each in _numbers(shape, "rle")]
    if min(left, top, across, down, *runs) < 0 or sum(runs) != across * down or left + across > width or top + down > height:
        raise shape.refused(f"its mask does not fit: a box of {across}×{down} at ({left}, {top}) in an image of {width}×{height}")
    whole = np.zeros((height, width), dtype=bool)
    whole[top : top + down, left : left + across] = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(down, across)
    return coco_rle(whole)
