"""Where the annotation files and photographs of a data set lie, in the layouts that people have.

<data>/<dataset>/refs(<split_by>).p         or refs(…).json, or gRefCOCO's grefs(…).json
<data>/<dataset>/instances.json
<data>/images/mscoco/images/train2014/      or images/train2014, images; or in <data>/<dataset>/
<data>/images/saiapr_tc-12/                 refclef's photographs
<data>/images/<dataset>/JPEGImages/         rrsisd's photographs, and those of other sets in its manner; or images/<dataset>/

A zip archive may stand for a folder: the module `archives` unpacks it.

`<data>/refer/data/` and `<data>/annotations/` may stand for `<data>/`, and so may `<data>/RRSIS-D/`, the folder that rrsisd comes in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cmirnet_cli.errors import AnnotationError

_COCO_FOLDERS = ("mscoco/images/train2014", "train2014", "train2017", "val2017", ".")
_ON_COCO = ("refcoco", "refcoco+", "refcocog", "grefcoco")
_INNER_FOLDERS = {"refclef": ("saiapr_tc-12", "."), **dict.fromkeys(_ON_COCO, _COCO_FOLDERS)}
_HOMES = {"rrsisd": "RRSIS-D/rrsisd"}


@dataclass(frozen=True)
class Layout:
    """The files of one data set under one split_by.

    Attributes:
        dataset: its name.
        split_by: the name of its division into splits.
        refs: the pickle or JSON file with referents and sentences.
        instances: COCO's `instances.json`.
        image_folders: existing folders that may hold the photographs, the likeliest first; at least one.
    """

    dataset: str
    split_by: str
    refs: Path
    instances: Path
    image_folders: tuple[Path, ...]


def find_layout(dataset: str, split_by: str, data_root: Path, annotations: Path | None = None, images: Path | None = None) -> Layout:
    """Find the files of a data set.

    Args:
        dataset: the data set's name, which is also its folder's.
        split_by: the name between the brackets of `refs(…).p`.
        data_root: the folder that data sets lie in.
        annotations: where to look for annotations instead: the data set's folder or the one above it.
        images: where to look for photographs instead: their folder or one above it that has a known layout.

    Raises:
        AnnotationError: something is missing; the message names all that is, and every place that was looked at.
    """
    folders = annotation_folders(dataset, data_root, annotations)
    refs = _first_file(folder / name for folder in folders for name in _refs_names(split_by))
    if refs:
        folders = [refs.parent]
    instances = _first_file(folder / "instances.json" for folder in folders)
    image_candidates = image_folders_of(folders[0], data_root, images, dataset)
    image_folders = tuple(folder for folder in image_candidates if folder.is_dir())
    if refs and instances and image_folders:
        return Layout(dataset, split_by, refs, instances, image_folders)
    missing = []
    if not refs:
        missing.append(_lacking(" or ".join(_refs_names(split_by)), folders, _other_refs(folders)))
    if not instances:
        missing.append(_lacking("instances.json", folders))
    if not image_folders:
        missing.append(_lacking("the folder of photographs", image_candidates))
    raise AnnotationError(
        f"{dataset} ({split_by}) is not complete; missing:\n" + "\n".join(missing),
        hint="put the files or the published archives (such as refcoco.zip and train2014.zip) there, or say where they are with "
        "--annotations DIR and --images DIR; docs/data.md says where people get them",
    )


def has_annotations(dataset: str, split_by: str, data_root: Path, annotations: Path | None = None) -> bool:
    """Whether a data set's referents lie where `find_layout` looks for them."""
    folders = annotation_folders(dataset, data_root, annotations)
    return _first_file(folder / name for folder in folders for name in _refs_names(split_by)) is not None


def annotation_folders(dataset: str, data_root: Path, annotations: Path | None) -> list[Path]:
    """The folders that annotations may lie in, there or not, in the order in which they are tried."""
    if annotations is not None:
        return [annotations / dataset, annotations]
    usual = [data_root / dataset, data_root / "refer" / "data" / dataset, data_root / "annotations" / dataset]
    return [*usual, data_root / _HOMES[dataset]] if dataset in _HOMES else usual


def image_folders_of(home: Path, data_root: Path, images: Path | None, dataset: str) -> list[Path]:
    """The folders that photographs may lie in, there or not, in the order in which they are tried; `home` holds the annotations."""
    roots = [home / "images", home.parent / "images", data_root / "images"] if images is None else [images]
    inner = _INNER_FOLDERS.get(dataset, (f"{dataset}/JPEGImages", dataset, "JPEGImages", *_COCO_FOLDERS))
    return list(dict.fromkeys(root / folder for root in roots for folder in inner))


def _refs_names(split_by: str) -> list[str]:
    return [f"{stem}({split_by}).{suffix}" for stem in ("refs", "grefs") for suffix in ("p", "json")]


def _other_refs(folders: Iterable[Path]) -> str:
    """A remark on the refs files of other split_by names, if any."""
    found = sorted(str(path) for folder in folders for path in folder.glob("*refs(*).*"))
    return f"; there is {', '.join(found)}" if found else ""


def _lacking(what: str, places: Iterable[Path], remark: str = "") -> str:
    return f"  {what} (looked in {', '.join(map(str, places))}{remark})"


def _first_file(paths: Iterable[Path]) -> Path | None:
    return next((path for path in paths if path.is_file()), None)
