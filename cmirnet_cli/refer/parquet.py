"""Parquet files: rows that are REFER's records, as the copies of RefCOCO, RefCOCO+ and RefCOCOg on the Hugging Face hub have them, or rows
that hold pictures, which `parquet_pictures` reads.

A row of REFER's is a referent: `ref_id, image_id, split, sentences [{raw, sent, sent_id, …}], raw_anns` (JSON of its annotation),
`raw_image_info` (JSON of its image). The photographs are not inside: they lie beside the files, or in `--images DIR`. As in REFER's own
files, outlines are drawn on the stored pixels, and EXIF is ignored. Where a row's split and the name of its file disagree, the row counts.

Needs pyarrow, the extra `[parquet]`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmirnet_cli.errors import AnnotationError, listed
from cmirnet_cli.images import Segmentation
from cmirnet_cli.refer.layout import ImageFolders
from cmirnet_cli.refer.own import ReadOptions, split_of
from cmirnet_cli.refer.parquet_pictures import PictureRows, columns_of
from cmirnet_cli.refer.records import Record, parse_json
from cmirnet_cli.refer.referent import ImageRecord, Referent, Sentence

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

MAGIC = b"PAR1"
COLUMNS = ("ref_id", "image_id", "split", "sentences", "raw_anns", "raw_image_info")
_ROWS_AT_ONCE, _PICTURES_AT_ONCE = 1000, 50
_IMAGE_FOLDERS = (".", "images", "train2014", "images/train2014", "images/mscoco/images/train2014", "coco/train2014")


def files(path: Path) -> list[Path]:
    """The parquet files at a path: the file itself, those in a folder, or those in its folder `data`."""
    places = [path] if path.is_file() else sorted([*path.glob("*.parquet"), *path.glob("data/*.parquet")]) if path.is_dir() else []
    return [file for file in places if _is_parquet(file)]


def _is_parquet(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return opened.read(4) == MAGIC
    except OSError:
        return False


def read(path: Path, options: ReadOptions) -> Iterator[Referent]:
    """The referents of all parquet files at a path, a thousand rows at a time.

    Raises:
        AnnotationError: pyarrow is missing, a file is damaged, lacks a column, or a row is malformed.
    """
    root = path if path.is_dir() else path.parent
    folders = ImageFolders([options.images] if options.images else [root / name for name in _IMAGE_FOLDERS])
    images: dict[str, ImageRecord] = {}
    seen: set[int] = set()
    pictures = PictureRows(path, options)
    for file in files(path):
        opened = _opened(file)
        if not set(COLUMNS) <= set(opened.schema_arrow.names):
            if (columns := columns_of(opened.schema_arrow)) is None:
                raise _unread_columns(file, opened.schema_arrow.names)
            yield from pictures.referents(file, _rows(file, opened, opened.schema_arrow.names, _PICTURES_AT_ONCE), columns)
        else:
            yield from _refer_records(file, _rows(file, opened, COLUMNS, _ROWS_AT_ONCE), seen, images, folders, options)
    pictures.finish()


def _refer_records(
    file: Path,
    rows: Iterator[dict[str, Any]],
    seen: set[int],
    images: dict[str, ImageRecord],
    folders: ImageFolders,
    options: ReadOptions,
) -> Iterator[Referent]:
    differing: Counter[str] = Counter()
    named = split_of(file.name.split("-")[0].split(".")[0])
    for number, row in enumerate(rows):
        try:
            record = Record.of(row, file, f"row {number}")
            referent = _referent(record, images, folders, upright=bool(options.upright))
            if referent.ref_id in seen:
                raise record.refused(f"field 'ref_id' is {referent.ref_id}, which occurs a second time")
            seen.add(referent.ref_id)
        except AnnotationError as error:
            options.fault(error)
            continue
        if named in ("train", "val", "test") and named != referent.split and not referent.split.startswith(named):
            differing[referent.split] += 1
        yield referent
    for split, count in differing.items():
        options.notice(f"{file.name}: {count:,} rows say that their split is {split}; this is used, not the name of the file")


def _unread_columns(file: Path, names: list[str]) -> AnnotationError:
    missing = " and no ".join(name for name in COLUMNS if name not in names)
    return AnnotationError(
        f"{file} holds neither pictures with outlines nor REFER's records (no column {missing}); its columns are {listed(names, 20)}",
        hint="call the columns image, mask (or segmentation) and expression; or write JSONL",
    )


def _rows(file: Path, opened: ParquetFile, columns: Sequence[str], at_once: int) -> Iterator[dict[str, Any]]:
    try:
        for batch in opened.iter_batches(batch_size=at_once, columns=list(columns)):
            yield from batch.to_pylist()
    except (OSError, ValueError) as error:
        raise AnnotationError(f"{file} is damaged: {error}", hint="fetch it again") from error


def _opened(file: Path) -> ParquetFile:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise AnnotationError(f"reading {file} needs pyarrow: {error}", hint="pip install 'cmirnet[parquet]'") from error
    try:
        return ParquetFile(file)
    except (OSError, ValueError, ArrowException) as error:
        raise AnnotationError(f"{file} is damaged: {error}", hint="fetch it again") from error


def _referent(record: Record, images: dict[str, ImageRecord], folders: ImageFolders, *, upright: bool) -> Referent:
    annotations = _nested(record, "raw_anns")
    objects = tuple(_outline(each, record) for each in (annotations if isinstance(annotations, list) else [annotations]))
    texts = [Record.of(each, record.file, f"{record.name}: sentences[{place}]") for place, each in enumerate(record.items("sentences"))]
    sentences = tuple(Sentence(each.integer("sent_id"), each.text("raw" if each.fields.get("raw") else "sent")) for each in texts)
    info = Record.of(_nested(record, "raw_image_info"), record.file, f"{record.name}: raw_image_info")
    image = _image(info, images, folders, upright=upright)
    split = record.label("split")
    return Referent(record.integer("ref_id"), split_of(split), image, "", objects, sentences)


def _nested(record: Record, key: str) -> Any:
    value = record.value(key)
    return parse_json(value, f"{record.file}: {record.name}: {key}") if isinstance(value, str) else value


def _outline(annotation: object, record: Record) -> Segmentation:
    outline = Record.of(annotation, record.file, f"{record.name}: raw_anns").value("segmentation")
    if not isinstance(outline, list | dict):
        raise record.refused("its segmentation is neither polygons nor an RLE")
    return outline


def _image(info: Record, images: dict[str, ImageRecord], folders: ImageFolders, *, upright: bool) -> ImageRecord:
    name = info.text("file_name")
    if name not in images:
        images[name] = ImageRecord(info.identifier("id"), folders.find(name), info.integer("height"), info.integer("width"), upright)
    return images[name]
