"""PhraseCut: `refer_train.json`, `refer_val.json`, … beside a folder `images`, as VGPhraseCut publishes them.

    [{"task_id": "2__0", "image_id": 2, "phrase": "red box", "Polygons": [[[[20, 30], [70, 30], …]]], …}]

A phrase is one referent; `Polygons` lists its instances, each of which lists polygons of [x, y] points. The file's name says the
split. An image is `images/<image_id>.jpg`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from cmirnet_cli.errors import AnnotationError, shown
from cmirnet_cli.images import Segmentation
from cmirnet_cli.refer.own import NO_SPLIT, Numbering, ReadOptions, holds_keys, json_files, json_of, json_or_none, split_of
from cmirnet_cli.refer.own_images import OwnImages
from cmirnet_cli.refer.records import Record
from cmirnet_cli.refer.referent import Referent

_NAME = re.compile(r"refer_(?P<split>\w+)")


def files(path: Path) -> list[Path]:
    """The PhraseCut files at a path: the file itself, or those right in a folder."""
    return [file for file in json_files(path) if _is_phrasecut(file)]


def _is_phrasecut(file: Path) -> bool:
    top = json_or_none(file)
    return isinstance(top, list) and bool(top) and holds_keys(top[0], "phrase", "Polygons", "image_id")


def read(path: Path, options: ReadOptions) -> Iterator[Referent]:
    """The referents of all PhraseCut files at a path.

    Raises:
        AnnotationError: a file or a record is malformed.
    """
    numbering = Numbering()
    for file in files(path):
        named = _NAME.fullmatch(file.stem)
        images = OwnImages(path, [file.parent / "images", file.parent, file.parent.parent / "images"], options)
        for position, each in enumerate(json_of(file)):
            try:
                record = Record.of(each, file, f"[{position}]")
                record = Record(record.fields, file, f"task {shown(record.fields.get('task_id', position))}")
                image = images.record(f"{record.identifier('image_id')}.jpg", record)
                phrase, objects = record.text("phrase"), _objects(record)
            except AnnotationError as error:
                options.fault(error)
                continue
            split = split_of(named["split"]) if named else NO_SPLIT
            structure = record.fields.get("phrase_structure")
            category = structure.get("name", "") if isinstance(structure, dict) else ""
            yield numbering.referent(split, image, objects, [phrase], category if isinstance(category, str) else "", record.name)


def _objects(record: Record) -> tuple[Segmentation, ...]:
    try:
        objects = tuple(
            [[number for x, y in polygon for number in (x, y)] for polygon in instance] for instance in record.items("Polygons")
        )
    except (TypeError, ValueError):
        raise record.wrong("Polygons", "a list of instances, each a list of polygons of [x, y]") from None
    if not objects:
        raise record.refused("it has no polygon")
    return objects
