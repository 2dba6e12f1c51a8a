"""Parquet rows that hold a picture, an expression and an outline, as the Hugging Face library `datasets` writes them.

The picture is a struct {bytes, path}, bytes, or the path of a file. The outline is a mask (a picture, or a list of them), an RLE or a list
of them, polygons (lists of x, y, x, y, … or of [x, y]), a matrix of 0 and 1, or any of these as JSON. The expression is text or a list of
it; a list of masks of the same length gives each expression its own mask, and any other list is one referent of several objects.

Pictures are unpacked into the folder `pictures` beside the file, each once, under a name that follows from its content.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.images import Segmentation
from cmirnet_cli.images.mask_files import MaskOddity, read_mask
from cmirnet_cli.images.masks import coco_rle
from cmirnet_cli.images.pixels import UnreadableImageError, open_image
from cmirnet_cli.refer.own import NO_SPLIT, SPLIT_NAMES, Numbering, ReadOptions, no_text, split_of, split_of_folder, texts_of
from cmirnet_cli.refer.own_images import PICTURES, OwnImages, unpacked
from cmirnet_cli.refer.records import Record, parse_json
from cmirnet_cli.refer.referent import ImageRecord, Referent

if TYPE_CHECKING:
    from pyarrow import Schema

_IMAGE_NAMES = ("image", "img", "picture", "photo", "image_bytes", "jpg", "jpeg", "png", "image_path", "file_name")
_OUTLINE_NAMES = ("mask", "masks", "gt_mask", "segmentation_mask", "segmentation", "seg", "polygons", "polygon", "rle", "mask_rle")
_ID_NAMES = ("ref_id", "ann_id", "id", "question_id")
_CATEGORY_NAMES = ("category", "category_name", "label")
_SMALLEST_MATRIX = 8
"""Rows and columns that a list of lists of 0 and 1 must have to be a mask and not polygons."""

Outline = tuple[Segmentation, MaskOddity | None]


@dataclass(frozen=True)
class Columns:
    """The names of the columns that hold the picture and the outline."""

    image: str
    outline: str


def columns_of(schema: Schema) -> Columns | None:
    """Which columns of a file hold pictures and outlines, by their usual names and by their types; None if it has no two such."""
    from pyarrow import types

    def holds_picture(name: str) -> bool:
        kind = schema.field(name).type
        fields = {kind.field(place).name for place in range(kind.num_fields)} if types.is_struct(kind) else set()
        return types.is_binary(kind) or types.is_large_binary(kind) or "bytes" in fields

    pictures = [name for name in schema.names if holds_picture(name)]
    image = next((name for name in (*_IMAGE_NAMES, *pictures) if name in schema.names and name not in _OUTLINE_NAMES), None)
    outline = next((name for name in (*_OUTLINE_NAMES, *pictures) if name in schema.names and name != image), None)
    return Columns(image, outline) if image and outline else None


class PictureRows:
    """Reads the rows of one file after the other."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        self.path, self.options = path, options
        root = path if path.is_dir() else path.parent
        self.folder = options.images or root / PICTURES
        self.images = OwnImages(root, [self.folder, root, root / "images"], options)
        self.numbering, self.fields = Numbering(), Counter[str]()
        self.made = self.silent = self.bare = 0

    def referents(self, file: Path, rows: Iterator[dict[str, Any]], columns: Columns) -> Iterator[Referent]:
        """The referents of a file's rows; a row that has no text or no outline is counted and left out."""
        named = file.name.split("-")[0].split(".")[0]
        usual = split_of(named) if named.lower() in SPLIT_NAMES else split_of_folder(file)
        for number, row in enumerate(rows):
            known = next((f" ({name} {row[name]})" for name in _ID_NAMES if isinstance(row.get(name), int | str)), "")
            record = Record(row, file, f"row {number}{known}")
            try:
                made = self._row(record, columns, usual)
            except AnnotationError as error:
                self.options.fault(error)
            else:
                yield from made

    def finish(self) -> None:
        """Say what was left out. Raises AnnotationError if nothing is left."""
        if not self.made and self.silent:
            self.options.nothing(no_text(self.path, self.fields, self.options))
        for count, lack in ((self.silent, "text"), (self.bare, "outline")):
            if count:
                self.options.notice(f"{self.path}: {count:,} rows without {lack} are left out")

    def _row(self, record: Record, columns: Columns, usual: str) -> list[Referent]:
        self.fields.update(name for name, value in record.fields.items() if value is not None)
        texts = texts_of(record, self.options)
        outlines = _outlines(record, columns.outline, record.fields.get(columns.outline), self._picture)
        if not texts or not outlines:
            self.silent, self.bare = self.silent + (not texts), self.bare + bool(texts)
            return []
        image = self._image(record, columns.image, outlines)
        split = split_of(record.label("split")) if isinstance(record.fields.get("split"), str) else usual or NO_SPLIT
        category = next((value for name in _CATEGORY_NAMES if isinstance(value := record.fields.get(name), str)), "")
        paired = len(texts) == len(outlines) > 1
        groups = [([text], [each]) for text, each in zip(texts, outlines, strict=True)] if paired else [(texts, outlines)]
        self.made += len(groups)
        return [
            self.numbering.referent(
                split, image, [each for each, _ in some], said, category, record.name, next((oddity for _, oddity in some if oddity), None)
            )
            for said, some in groups
        ]

    def _image(self, record: Record, column: str, outlines: Sequence[Outline]) -> ImageRecord:
        """The image of a row, of the size that its outlines or its fields `width` and `height` say."""
        content, path = _content(record, column, record.value(column))
        if content is not None:
            path = unpacked(content, self.folder)
        sizes = [each["size"] for each, _ in outlines if isinstance(each, Mapping)]
        if sizes and isinstance(sizes[0], list) and len(sizes[0]) == 2 and all(type(each) is int for each in sizes[0]):
            return self.images.record(path, record, sizes[0][1], sizes[0][0])
        size = [record.fields.get(name) for name in ("width", "height")]
        width, height = (each if type(each) is int else 0 for each in size)
        return self.images.record(path, record, width, height) if width and height else self.images.record(path, record)

    def _picture(self, record: Record, column: str, value: object) -> Outline:
        """A mask that is a picture: bytes, {bytes, path} or the path of a file."""
        content, path = _content(record, column, value)
        try:
            with open_image(self.images.folders.find(path) if content is None else io.BytesIO(content)) as opened:
                drawn = read_mask(opened)
        except UnreadableImageError as error:
            raise record.refused(f"field {column!r}: its mask cannot be used: {error}") from error
        return coco_rle(drawn.pixels), drawn.oddity


def _content(record: Record, column: str, value: object) -> tuple[bytes | None, str]:
    """The bytes of a picture, or None with the path of its file."""
    content, path = (value.get("bytes"), value.get("path")) if isinstance(value, Mapping) else (value, value)
    if isinstance(content, bytes) and content:
        return content, ""
    if isinstance(path, str) and path:
        return None, Record({column: path}, record.file, record.name).path(column)
    raise record.wrong(column, "a picture, {bytes, path}, or the path of one")


def _outlines(record: Record, column: str, value: Any, picture: Callable[[Record, str, object], Outline]) -> list[Outline]:
    """The outlines in a column: one for each mask of a list, and one for all polygons; none where the row has none."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        value = parse_json(value, f"{record.file}: {record.name}: field {column!r}")
    if value in (None, "", b"", [], [[]], {"bytes": None, "path": None}):
        return []
    if isinstance(value, Mapping) and value.get("counts") is not None:
        return [({"size": value.get("size"), "counts": value["counts"]}, None)]
    if not isinstance(value, list):
        return [picture(record, column, value)]
    if all(isinstance(each, Mapping | bytes | str) for each in value):
        return [outline for each in value for outline in _outlines(record, column, each, picture)]
    return [(_drawn(record, column, value), None)]


def _drawn(record: Record, column: str, value: list[Any]) -> Segmentation:
    """A matrix as RLE; one polygon, or a list of them, as a list of polygons."""
    if _is_matrix(value):
        return coco_rle(np.array(value) != 0)
    if _are_points(value) or not any(isinstance(each, list) for each in value):
        return [_flat(value)]
    if not all(isinstance(each, list) for each in value):
        raise record.wrong(column, "a mask, an RLE or polygons")
    return [_flat(each) for each in value]


def _is_matrix(value: list[Any]) -> bool:
    widths = {len(row) if isinstance(row, list) else 0 for row in value}
    large = len(value) >= _SMALLEST_MATRIX and len(widths) == 1 and min(widths) >= _SMALLEST_MATRIX
    return large and all(number in (0, 1, 255) for row in value for number in row)


def _are_points(value: list[Any]) -> bool:
    return all(isinstance(each, list) and len(each) == 2 and not isinstance(each[0], list) for each in value)


def _flat(polygon: list[Any]) -> list[Any]:
    """A polygon of [x, y] as x, y, x, y, …; any other as it is."""
    return [number for point in polygon for number in point] if _are_points(polygon) else polygon
