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

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath

from cmirnet_cli.errors import AnnotationError

PICTURE = re.compile(r".+\.(jpe?g|png|tiff?|bmp|webp)", re.IGNORECASE)
"""Names of photographs."""

_ENTRIES = 1000
"""How many entries of a folder are looked at before it counts as one without photographs."""

INSTANCES = "instances.json"
"""The name of COCO's file of images and annotations."""

REFS = re.compile(r"g?refs\((?P<split_by>.+)\)\.(?:p|json)")
"""Names of files of referents, as `refs_names` makes them."""

ANNOTATIONS = re.compile(f"{REFS.pattern}|{re.escape(INSTANCES)}")
"""Names of the annotation files of a data set."""

_COCO_FOLDERS = ("mscoco/images/train2014", "train2014", "train2017", "val2017", ".")
_ON_COCO = ("refcoco", "refcoco+", "refcocog", "grefcoco")
_INNER_FOLDERS = {"refclef": ("saiapr_tc-12", "."), **dict.fromkeys(_ON_COCO, _COCO_FOLDERS)}
_NESTED: dict[str, tuple[str, ...]] = {"refclef": ("*/images",), **dict.fromkeys(_ON_COCO, ())}
"""Where in its folder the photographs of a data set may lie, but for right in it; one's own have a folder for each split, say."""
_HOMES = {"rrsisd": "RRSIS-D/rrsisd"}


@dataclass(frozen=True)
class Places:
    """Where to look for data sets.

    Attributes:
        data_root: the folder that data sets lie in.
        annotations: where to look for annotations instead: the data set's folder or the one above it.
        images: where to look for photographs instead: their folder or one above it that has a known layout.
    """

    data_root: Path = Path("data")
    annotations: Path | None = None
    images: Path | None = None

    def homes(self, dataset: str) -> list[Path]:
        """The folders that annotations may lie in, there or not, in the order in which they are tried."""
        if self.annotations is not None:
            return [self.annotations / dataset, self.annotations]
        above = (self.data_root, self.data_root / "refer" / "data", self.data_root / "annotations")
        usual = [folder / dataset for folder in above]
        return [*usual, self.data_root / _HOMES[dataset]] if dataset in _HOMES else usual

    def image_folders(self, dataset: str, home: Path) -> list[Path]:
        """The folders that photographs may lie in, there or not, in the order in which they are tried; `home` holds the annotations."""
        roots = [home / "images", home.parent / "images", self.data_root / "images"] if self.images is None else [self.images]
        inner = _INNER_FOLDERS.get(dataset, (f"{dataset}/JPEGImages", dataset, "JPEGImages", *_COCO_FOLDERS))
        return list(dict.fromkeys(root / folder for root in roots for folder in inner))

    def of_part(self, dataset: str) -> Places:
        """Where one of several data sets lies, whose folders `annotations` holds."""
        return replace(self, annotations=self.annotations / dataset) if self.annotations else self


USUAL_PLACES = Places()


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


def find_layout(dataset: str, split_by: str, places: Places) -> Layout:
    """Find the files of a data set.

    Args:
        dataset: the data set's name, which is also its folder's.
        split_by: the name between the brackets of `refs(…).p`.
        places: where to look.

    Raises:
        AnnotationError: something is missing; the message names all that is, and every place that was looked at.
    """
    homes, refs = places.homes(dataset), find_refs(dataset, split_by, places)
    if refs:
        homes = [refs.parent]
    instances = _first_file(home / INSTANCES for home in homes)
    image_candidates = places.image_folders(dataset, homes[0])
    image_folders = tuple(folder for folder in image_candidates if folder.is_dir())
    if refs and instances and image_folders:
        return Layout(dataset, split_by, refs, instances, image_folders)
    missing, others = [], list[Path]()
    if not refs:
        others = [path for home in homes for path in refs_in(home)]
        missing.append(_lacking(" or ".join(refs_names(split_by)), homes, f"; there is {', '.join(map(str, others))}" if others else ""))
    if not instances:
        missing.append(_lacking(INSTANCES, homes))
    if not image_folders:
        missing.append(_lacking("the folder of photographs", image_candidates))
    divisions = dict.fromkeys(found["split_by"] for path in others if (found := REFS.fullmatch(path.name)))
    instead = "".join(f"use --split-by {name}, or " for name in divisions)
    raise AnnotationError(
        f"{dataset} ({split_by}) is not complete; missing:\n" + "\n".join(missing),
        hint=f"{instead}put the files or the published archives (such as refcoco.zip and train2014.zip) there, or say where they are "
        "with --annotations DIR and --images DIR; docs/data.md says where to get them",
    )


def find_refs(dataset: str, split_by: str, places: Places) -> Path | None:
    """The file of a data set's referents, if there is one. Its folder is the data set's home: the other files are looked for from there."""
    return _first_file(home / name for home in places.homes(dataset) for name in refs_names(split_by))


def refs_names(split_by: str) -> list[str]:
    """What a file of referents may be called, in the order in which they are tried."""
    return [f"{stem}({split_by}).{suffix}" for stem in ("refs", "grefs") for suffix in ("p", "json")]


def refs_in(folder: Path) -> list[Path]:
    """The files of referents in a folder, whatever their split_by."""
    return sorted(path for path in folder.glob("*refs(*).*") if REFS.fullmatch(path.name))


def find_photographs(dataset: str, folders: Iterable[Path]) -> Path | None:
    """The first of a data set's image folders, there or not, that holds photographs: right in it, or nested as the data set has them."""
    patterns = _NESTED.get(dataset, ("*", "*/images"))
    for folder in folders:
        nests = (nest for pattern in patterns for nest in folder.glob(pattern))
        if any(holds_pictures(place) for place in (folder, *nests) if place.is_dir()):
            return folder
    return None


def _lacking(what: str, places: Iterable[Path], remark: str = "") -> str:
    return f"  {what} (looked in {', '.join(map(str, places))}{remark})"


def _first_file(paths: Iterable[Path]) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


class ImageFolders:
    """The folders that photographs may lie in, in the order in which they are tried."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)

    def find(self, file_name: str) -> Path:
        """Where the image `file_name` lies; where it was expected first if it lies nowhere.

        refclef's images come flat (`1012.jpg`) or nested (`25/images/1012.jpg`), in the annotations as well as on disk: a
        nested name is tried flat too, and a flat one nested.
        """
        written = PurePosixPath(file_name)
        names = (file_name, written.name) if written.parent.name == "images" else (file_name,)
        for folder in self.folders:
            for name in names:
                with suppress(PermissionError):
                    if (folder / name).is_file():
                        return folder / name
        return self._nested.get(file_name, self.folders[0] / file_name)

    @cached_property
    def _nested(self) -> dict[str, Path]:
        """The first of each name among the files at `*/images/*`."""
        return {path.name: path for folder in reversed(self.folders) for path in sorted(folder.glob("*/images/*"), reverse=True)}


def holds_pictures(folder: Path) -> bool:
    """Whether photographs lie right in a folder, which must be there."""
    with os.scandir(folder) as entries:
        return any(PICTURE.fullmatch(entry.name) for entry in islice(entries, _ENTRIES))
