"""ReasonSeg: an image with a JSON file of the same name beside it, in folders that are called like the splits.

    {"text": ["the part of the scene that …"], "is_sentence": true,
     "shapes": [{"label": "target", "points": [[10, 20], …]}, {"label": "ignore", "points": […]}]}

All shapes called `target` are the referent, all texts its sentences. As the data set's own reader does, shapes are drawn from the
largest to the smallest, and a shape called `ignore` takes its pixels out again: they count as background here, for a cache has no
third value. Shapes of other names are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.images import Segmentation
from cmirnet_cli.images.masks import coco_rle, rasterise
from cmirnet_cli.refer.own import (
    Numbering,
    ReadOptions,
    files_of_format,
    flat,
    holds_keys,
    json_of,
    json_or_none,
    points_of,
    split_of_folder,
)
from cmirnet_cli.refer.own_images import OwnImages
from cmirnet_cli.refer.records import Record
from cmirnet_cli.refer.referent import Referent

TARGET, IGNORE = "target", "ignore"
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def files(path: Path) -> list[Path]:
    """The ReasonSeg files at a path: the file itself, those right in a folder, or those in folders that are called like splits."""
    return files_of_format(path, _is_reasonseg)


def _is_reasonseg(file: Path) -> bool:
    return holds_keys(top := json_or_none(file), "text", "shapes") and "imagePath" not in top


def read(path: Path, options: ReadOptions) -> Iterator[Referent]:
    """The referents of all ReasonSeg files at a path: one a file.

    Raises:
        AnnotationError: a file is malformed, has no text or no target.
    """
    numbering, ignored = Numbering(), 0
    for file in files(path):
        try:
            top = Record.of(json_of(file), file, "the top level")
            images = OwnImages(path, [file.parent], options)
            names = [file.stem + suffix for suffix in _SUFFIXES]
            image = images.record(next((name for name in names if images.folders.find(name).is_file()), names[0]), top)
            texts = [text for text in _texts(top) if text.strip()]
            if not texts:
                raise top.refused("it has no text")
            shapes = [Record.of(each, file, f"shapes[{position}]") for position, each in enumerate(top.items("shapes"))]
            objects = _objects(shapes, image.height, image.width, top)
        except AnnotationError as error:
            options.fault(error)
            continue
        ignored += sum(shape.fields.get("label") == IGNORE for shape in shapes)
        yield numbering.referent(split_of_folder(file), image, objects, texts, record=file.name)
    if ignored:
        options.notice(f"{path}: {ignored:,} areas to ignore count as background")


def _texts(top: Record) -> list[str]:
    value = top.value("text")
    return [Record({"text": each}, top.file, top.name).text("text") for each in (value if isinstance(value, list) else [value])]


def _objects(shapes: list[Record], height: int, width: int, top: Record) -> tuple[Segmentation, ...]:
    outlines = [(shape.fields.get("label"), _polygon(shape)) for shape in shapes if shape.fields.get("label") in (TARGET, IGNORE)]
    if not any(label == TARGET for label, _ in outlines):
        raise top.refused(f"it has no shape called {TARGET!r}")
    if not height or all(label == TARGET for label, _ in outlines):
        return tuple([polygon] for label, polygon in outlines if label == TARGET)
    masks = [(label, rasterise(([polygon],), height, width) > 0) for label, polygon in outlines]
    whole = np.zeros((height, width), dtype=bool)
    for label, mask in sorted(masks, key=lambda each: -int(each[1].sum())):
        whole[mask] = label == TARGET
    return (coco_rle(whole),)


def _polygon(shape: Record) -> list[float]:
    points = points_of(shape)
    if len(points) < 3:
        raise AnnotationError(f"{shape.file}: {shape.name}: {len(points)} points have no area", hint="correct this shape, or delete it")
    return flat(points)
