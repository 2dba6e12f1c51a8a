"""The readers of one's own files, each of which recognises its format from the content; docs/data.md's table is made from this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from cmirnet_cli.errors import AnnotationError, UsageError, listed
from cmirnet_cli.refer import coco, cvat, jsonl, labelme, parquet, phrasecut, reasonseg
from cmirnet_cli.refer.own import ReadOptions, divided, json_files, json_or_none
from cmirnet_cli.refer.records import adding_to, collector_paused, require_no_faults
from cmirnet_cli.refer.referent import ReferDataset, Referent

JSONL_LINE = '{"image": "photos/1.jpg", "expression": "the red cup", "polygons": [[10, 20, 30, 20, 30, 40]], "split": "train"}'
"""What a file of any other format can be turned into."""


@dataclass(frozen=True)
class Reader:
    """One format of annotation files.

    Attributes:
        key: its name for `--format`, and the cache's `split_by`.
        title: what people call it.
        gives: what is given on the command line.
        text: where the expression comes from.
        files: the annotation files of this format at a path, none where it is not recognised; looks at the content, not at suffixes.
        read: the referents of a path that was recognised. Raises AnnotationError.
    """

    key: str
    title: str
    gives: str
    text: str
    files: Callable[[Path], list[Path]]
    read: Callable[[Path, ReadOptions], Iterator[Referent]]

    def recognises(self, path: Path) -> bool:
        """Whether there is something of this format at a file or folder."""
        return bool(self.files(path))


READERS: Sequence[Reader] = (
    Reader("jsonl", "JSONL", "the file, or a folder that holds one", "the field `expression` of each line", jsonl.files, jsonl.read),
    Reader(
        "coco",
        "COCO instances with text",
        "the JSON file, or a folder with it, or with `train/ valid/ test/` (Roboflow)",
        "a field or attribute such as `caption` or `phrase`; `--text FIELD`; `--text category`: one expression a category and image",
        coco.files,
        coco.read,
    ),
    Reader("labelme", "LabelMe", "a folder of JSON files, or one of them", "the description, else the label", labelme.files, labelme.read),
    Reader(
        "cvat",
        "CVAT for images 1.1",
        "the XML file, or its folder",
        "an attribute such as `expression`; `--text NAME`",
        cvat.files,
        cvat.read,
    ),
    Reader("reasonseg", "ReasonSeg", "a folder, or one with `train/ val/ test/`", "every entry of `text`", reasonseg.files, reasonseg.read),
    Reader("phrasecut", "PhraseCut", "a `refer_….json`, or its folder", "the phrase", phrasecut.files, phrasecut.read),
    Reader(
        "parquet",
        "parquet",
        "the file or its folder; rows are REFER's records, with photographs beside them or in `--images DIR`, or hold pictures and masks, "
        "RLE or polygons (extra `[parquet]`)",
        "the sentences of REFER's records; else a column such as `caption`; `--text COLUMN`",
        parquet.files,
        parquet.read,
    ),
)


def reader_of(path: Path, key: str | None = None) -> Reader | None:
    """The reader that recognises what lies at a path, or the one that is named; None where no reader does.

    Raises:
        UsageError: there is no such format, or several formats lie there.
        AnnotationError: the named format does not lie there, or the path may not be looked into.
    """
    if key is not None:
        named = next((reader for reader in READERS if reader.key == key), None)
        if named is None:
            raise UsageError(f"there is no format {key!r}", hint=f"choose among {', '.join(reader.key for reader in READERS)}")
        if not named.recognises(path):
            raise AnnotationError(f"{path} holds nothing in the format {named.title}", hint="leave --format out, or check the path")
        return named
    try:
        fitting = [reader for reader in READERS if reader.recognises(path)]
    except OSError as error:
        raise AnnotationError(f"{path} cannot be read: {error.strerror}", hint="check that it is there and may be read") from error
    if len(fitting) > 1:
        there = " and ".join(reader.title for reader in fitting)
        raise UsageError(f"{path} holds {there}", hint=f"choose with --format {' or --format '.join(reader.key for reader in fitting)}")
    return fitting[0] if fitting else None


def read_own(path: Path, reader: Reader, options: ReadOptions, *, skip_bad: bool = False) -> ReferDataset:
    """Read all referents at a path; those whose files name no split are dealt out to train and val.

    The data set is called like the file or folder. What the reader left out becomes remarks.

    Args:
        path: where the files are.
        reader: of their format.
        options: how they are read.
        skip_bad: whether records that cannot be read are left out; else they are an error that lists the first of them.

    Raises:
        AnnotationError: a file is malformed, or has no expression with a mask; file and record are named.
    """
    remarks: list[str] = [f"{path} is read as {reader.title}"]
    faults, nothing = list[AnnotationError](), list[AnnotationError]()
    noting = replace(options, notice=remarks.append, fault=adding_to(faults), nothing=nothing.append)
    try:
        with collector_paused():
            referents = tuple(divided(reader.read(path, noting), options.val_share, remarks.append))
    except AnnotationError as error:
        require_no_faults(path, [*faults, error])
        raise
    if not skip_bad or not referents:
        require_no_faults(path, faults or nothing, "lines" if reader is READERS[0] else "records")
    left_out = tuple(fault.message for fault in faults)
    return ReferDataset(name_of(path), reader.key, referents, tuple(reader.files(path)), tuple(remarks), left_out)


def name_of(path: Path) -> str:
    """The data set's name: the folder's, or the file's without its suffix (Roboflow's `_annotations.coco.json`: `annotations`)."""
    place = path.resolve()
    if not place.is_file():
        return place.name or "own"
    stem = place.name.removesuffix(".coco.json").lstrip("_") if place.name.endswith(".coco.json") else place.stem
    return stem.strip(". ") or place.parent.name or "own"


def unread_format(path: Path) -> str | None:
    """The name of a format that lies at a path and that nobody reads here; None where it is not known either."""
    tops = [top for file in islice(json_files(path), 3) if (top := json_or_none(file)) is not None]
    xmls = [path] if path.is_file() else islice(sorted(path.glob("*.xml")), 3)
    signs = {
        "VIA (VGG Image Annotator)": any(_is_via(top) for top in tops),
        "a video data set (Refer-YouTube-VOS, MeViS)": any(isinstance(top, dict) and isinstance(top.get("videos"), dict) for top in tops),
        "Label Studio's own JSON (export it as COCO)": any(_is_label_studio(top) for top in tops),
        "YOLO": any((path / name).exists() for name in ("data.yaml", "data.yml", "labels")),
        "a folder of videos": any(path.glob("*.mp4")) or any(path.glob("*/*.mp4")),
        "Pascal VOC (boxes without outlines)": any(_starts_with(file, b"<annotation>") for file in xmls),
    }
    return next((name for name, there in signs.items() if there), None)


def _is_label_studio(top: object) -> bool:
    return isinstance(top, list) and bool(top) and isinstance(top[0], dict) and {"annotations", "data"} <= top[0].keys()


def _is_via(top: object) -> bool:
    first = next(iter(top.values()), None) if isinstance(top, dict) else None
    return (isinstance(top, dict) and "_via_img_metadata" in top) or (isinstance(first, dict) and {"regions", "filename"} <= first.keys())


def _starts_with(file: Path, tag: bytes) -> bool:
    try:
        with file.open("rb") as opened:
            return tag in opened.read(400)
    except OSError:
        return False


def _lfs_pointer(path: Path) -> Path | None:
    """The first annotation file at a path for which Git LFS left a pointer, as it does where it is not installed."""
    files = [path] if path.is_file() else (file for pattern in ("*.json*", "*.parquet", "data/*.parquet") for file in path.glob(pattern))
    return next((file for file in islice(files, 20) if _starts_with(file, b"version https://git-lfs")), None)


def not_recognised(path: Path) -> AnnotationError:
    """The error for a path at which no reader recognises its format: what it is, where that is known, and the way out."""
    if pointer := _lfs_pointer(path):
        hint = f"run `git lfs pull` in {pointer.parent} (Git LFS: https://git-lfs.com), or download the file itself"
        return AnnotationError(f"{pointer} is a Git LFS pointer, not the file itself", hint=hint)
    known = unread_format(path)
    what = f"{path} is {known}, which cmirnet does not read" if known else f"cmirnet does not recognise the format of {path}"
    return AnnotationError(
        f"{what}. It reads {listed([reader.title for reader in READERS], 20)}, and REFER layout by the data set's name",
        hint=f"write one line for each expression into a file that ends in .jsonl: {JSONL_LINE}",
    )
