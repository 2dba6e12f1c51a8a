"""COCO instances with text: what Roboflow, CVAT, Label Studio and one's own scripts export.

    {"images": [{"id": 1, "file_name": "1.jpg", "width": 640, "height": 480}],
     "annotations": [{"id": 7, "image_id": 1, "category_id": 3, "segmentation": [[…]], "caption": "the red cup"}],
     "categories": [{"id": 3, "name": "cup"}]}

The text stands in a field of the annotation or of its `attributes`. `--text category` makes one expression of each category in an
image instead, whose mask is the union of its annotations. Splits are the folders that the files lie in (`train/ valid/ test/`), a
field `split` of the image, or none. The masks are COCO's: polygons, and RLE of both kinds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from cmirnet_cli.errors import AnnotationError, listed
from cmirnet_cli.images import Segmentation
from cmirnet_cli.refer.own import (
    Numbering,
    ReadOptions,
    holds_keys,
    json_folders,
    json_of,
    json_or_none,
    no_text,
    split_of,
    split_of_folder,
    texts_of,
)
from cmirnet_cli.refer.own_images import OwnImages
from cmirnet_cli.refer.records import Id, Instances, Record, read_instances
from cmirnet_cli.refer.referent import Referent

CATEGORY = "category"
"""The value of `--text` that makes expressions of category names."""

_IMAGE_FOLDERS = ("images", "train2017", "val2017", "train2014", "val2014")


def files(path: Path) -> list[Path]:
    """The COCO files at a path: the file itself, those right in a folder, or those in folders that are called like splits."""
    return [file for place in json_folders(path) for file in place if holds_keys(json_or_none(file), "images", "annotations")]


def read(path: Path, options: ReadOptions) -> Iterator[Referent]:
    """The referents of all COCO files at a path; an annotation without text or outline is left out and counted.

    Raises:
        AnnotationError: a file is malformed, no annotation has a text, or none has an outline.
    """
    numbering, there = Numbering(), files(path)
    for file in there:
        instances = read_instances(file, {"categories": [], **json_of(file)})
        if len(there) > 1 and not instances.annotations:  # as Roboflow's split of a few images may be
            options.notice(f"{file} has no annotations")
            continue
        images = OwnImages(path, [file.parent, *(file.parent / name for name in _IMAGE_FOLDERS), file.parent.parent / "images"], options)
        yield from _referents(instances, images, split_of_folder(file), options, numbering)


def _referents(instances: Instances, images: OwnImages, split: str, options: ReadOptions, numbering: Numbering) -> Iterator[Referent]:
    silent, boxes, made = 0, 0, 0
    for members in _groups(instances, options):
        record = members[0]
        try:
            texts = _texts(record, instances, options)
            objects = tuple(segmentation for each in members if (segmentation := _outline(each)) is not None)
            if not texts or not objects:
                silent, boxes = silent + (not texts), boxes + bool(texts)
                continue
            image = Record(instances.images[record.identifier("image_id")], instances.file, f"image {record.identifier('image_id')}")
            own_split = split_of(image.label("split")) if "split" in image.fields else split
            drawn_on = images.record(image.text("file_name"), image, *_size(image))
            category = _category(record, instances)
        except AnnotationError as error:
            options.fault(error)
        else:
            made += 1
            name = listed([each.name for each in members], 3)
            yield numbering.referent(own_split, drawn_on, objects, texts, category, name)
    if not made:
        options.nothing(_nothing(instances, silent, boxes, options))
        return
    if silent:
        options.notice(f"{instances.file}: {silent:,} annotations without a text are left out")
    if boxes:
        options.notice(f"{instances.file}: {boxes:,} annotations have a text and no outline (a box is not a mask) and are left out")


def _groups(instances: Instances, options: ReadOptions) -> Iterable[list[Record]]:
    """The annotations that each referent consists of; each has an image."""
    groups: dict[tuple[Id, Id], list[Record]] = {}
    for id_, fields in instances.annotations.items():
        record = Record(fields, instances.file, f"annotation {id_}")
        try:
            image_id, group = record.identifier("image_id"), _category(record, instances) if options.text == CATEGORY else id_
            if image_id not in instances.images:
                raise record.refused(f"its image {image_id} is not in the list of images")
        except AnnotationError as error:
            options.fault(error)
        else:
            groups.setdefault((image_id, group), []).append(record)
    return groups.values()


def _texts(record: Record, instances: Instances, options: ReadOptions) -> list[str]:
    if options.text != CATEGORY:
        return texts_of(record, options)
    category = _category(record, instances)
    return [category] if category.strip() else []


def _category(record: Record, instances: Instances) -> str:
    return instances.categories.get(record.identifier("category_id"), "") if "category_id" in record.fields else ""


def _outline(record: Record) -> Segmentation | None:
    """The segmentation of an annotation; None where it has a box alone."""
    value = record.fields.get("segmentation")
    if not value or value == [[]]:
        return None
    if not isinstance(value, list | Mapping):
        raise record.wrong("segmentation", "a list of polygons or an RLE")
    return [value] if isinstance(value, list) and all(type(each) in (int, float) for each in value) else value


def _size(image: Record) -> tuple[int, int]:
    return (image.integer("width"), image.integer("height")) if {"width", "height"} <= image.fields.keys() else (0, 0)


def _nothing(instances: Instances, silent: int, boxes: int, options: ReadOptions) -> AnnotationError:
    file = instances.file
    if boxes:
        hint = "draw polygons or masks: an image with boxes alone teaches no segmentation"
        return AnnotationError(f"{file}: {boxes:,} annotations have a text, and none of them has an outline", hint=hint)
    if not silent:
        return AnnotationError(f"{file} has no annotations that can be used", hint="check that it is the file you mean")
    beside = [each.name for each in file.parent.glob("*refs(*).*")]
    if beside:
        hint = f"{listed(beside)} next to it makes this REFER layout: give the data set's name instead of the file"
        return AnnotationError(f"{file} holds objects and no expressions", hint=hint)
    fields = Counter(name for each in instances.annotations.values() for name in each)
    return no_text(file, fields, options, f"make an expression of each category with --text {CATEGORY}")
