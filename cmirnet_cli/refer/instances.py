"""`instances.json`: COCO's images, annotations and categories, indexed by id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmirnet_cli.refer.records import Record, parse_json, read_bytes, shown

Id = int | str
"""COCO's ids are integers; refclef's annotations have text."""


@dataclass(frozen=True)
class Instances:
    """The three lists of an instances file by id. Beyond their ids, images and annotations are as the file has them."""

    file: Path
    images: Mapping[Id, Mapping[str, Any]]
    annotations: Mapping[Id, Mapping[str, Any]]
    categories: Mapping[Id, str]


def read_instances(file: Path) -> Instances:
    """Index an instances file. It may hold many annotations that no referent uses; they are not looked into.

    Raises:
        AnnotationError: it is no JSON, lacks one of its lists, or gives one id to two different records.
    """
    top = Record.of(parse_json(read_bytes(file), str(file)), file, "the top level")
    return Instances(
        file=file,
        images=_by_id(top, "images"),
        annotations=_by_id(top, "annotations"),
        categories={id_: Record(fields, file, f"category {shown(id_)}").text("name") for id_, fields in _by_id(top, "categories").items()},
    )


def _by_id(top: Record, key: str) -> dict[Id, dict[str, Any]]:
    index: dict[Id, dict[str, Any]] = {}
    for position, fields in enumerate(top.items(key)):
        record = Record.of(fields, top.file, f"{key}[{position}]")
        id_ = record.identifier("id")
        known = index.setdefault(id_, fields)
        if known is not fields and not _same(known, fields):
            raise record.refused(f"field 'id' is {shown(id_)}, which belongs to a different record already")
    return index


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two records say the same; if they are nested too deeply to compare, they do not."""
    try:
        return one == other
    except RecursionError:
        return False
