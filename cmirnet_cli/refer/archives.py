"""The published archives as they come, unpacked to where `layout` looks: `refcoco.zip` with annotations, `train2014.zip` with photographs.

An archive lies beside the folder it stands for, or in the folder that data sets lie in. It is unpacked where what it holds is missing.
"""

from __future__ import annotations

import re
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias
from zipfile import BadZipFile, ZipFile, ZipInfo

from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.files import new_file, new_folder
from cmirnet_cli.files.checks import require_room
from cmirnet_cli.refer.layout import ANNOTATIONS, INSTANCES, PICTURE, Places, find_photographs, find_refs
from cmirnet_cli.refer.records import is_path, stays_inside

Kind = Literal["annotations", "photographs"]
Members: TypeAlias = Mapping[Path, ZipInfo]
"""Path below an archive's target → the member that belongs there."""

_NAMES: Mapping[Kind, re.Pattern[str]] = {"annotations": ANNOTATIONS, "photographs": PICTURE}
_FROM_A_MAC = "__MACOSX"
_MOST_INFLATED = 100
"""Times its own size; annotations as text come to 20, photographs to 1."""


@dataclass(frozen=True)
class Archive:
    """A zip file that holds annotations or photographs of a data set.

    Attributes:
        file: where it lies.
        target: the folder it stands for.
        kind: what is taken; all other files stay in it.
    """

    file: Path
    target: Path
    kind: Kind

    def read_members(self) -> Members:
        """What is taken.

        Raises:
            AnnotationError: it is not a whole zip file, holds nothing of its kind, or a file would lie outside `target`.
        """
        with _opened(self.file) as archive:
            members = {Path(place): info for info in archive.infolist() if (place := self._place(info)) is not None}
        if not members:
            raise AnnotationError(f"{self.file} holds no {self.kind}", hint="download the archive again, or remove it")
        return members

    def _place(self, info: ZipInfo) -> PurePosixPath | None:
        """Folders above one that is called like `target` do not count, nor does that one."""
        path = PurePosixPath(info.filename)
        if info.is_dir() or not _NAMES[self.kind].fullmatch(path.name) or _FROM_A_MAC in path.parts:
            return None
        if not is_path(info.filename) or not stays_inside(info.filename):
            raise AnnotationError(f"{self.file} holds a file that would go elsewhere: {info.filename!r}", hint="fetch the archive again")
        parts = path.parts
        return PurePosixPath(*parts[parts.index(self.target.name) + 1 :]) if self.target.name in parts[:-1] else path


def find_archives(dataset: str, split_by: str, places: Places) -> list[Archive]:
    """The archives that have what is missing of a data set, annotations first; arguments as for `find_layout`."""
    refs, homes = find_refs(dataset, split_by, places), places.homes(dataset)
    home, archives = refs.parent if refs else homes[0], []
    if not refs or not (home / INSTANCES).is_file():
        archives = _first("annotations", [(_zip_beside(folder, dataset), home if refs else folder) for folder in homes])
    folders = places.image_folders(dataset, archives[0].target if archives else home)
    if find_photographs(dataset, folders) is None:
        beside = [(_zip_beside(folder), folder) for folder in folders]
        names = [] if places.images else [folder.name for folder in folders if folder.name != dataset]
        usual = [(places.data_root / f"{name}.zip", places.data_root / "images" / name) for name in names]
        archives += _first("photographs", [(file, target) for file, target in [*beside, *usual] if not target.exists()])
    return archives


def _zip_beside(folder: Path, name: str | None = None) -> Path:
    """The archive of this name, or of the folder's own, beside a folder; `.`, `..` and `/` are called what they stand for."""
    place = folder if folder.name not in ("", "..") else folder.resolve()
    return place.parent / f"{name or place.name}.zip"


def _first(kind: Kind, candidates: list[tuple[Path, Path]]) -> list[Archive]:
    return [Archive(file, target, kind) for file, target in candidates if file.is_file()][:1]


def unpack(archive: Archive, members: Members, advance: Callable[[int], object]) -> None:
    """Write those of an archive's `members` that are not there yet; photographs appear all together or not at all.

    Raises:
        AnnotationError: it is not a whole zip file, has a password, or was made to fill a disk; nothing of what it holds is run.
        CmirnetError: the files cannot be written.
    """
    if _bytes(members) > _MOST_INFLATED * archive.file.stat().st_size:
        raise AnnotationError(f"{archive.file} unpacks to more than {_MOST_INFLATED} times its size", hint="it was made to fill a disk")
    write = _write_together if archive.kind == "photographs" else _write_each
    with _opened(archive.file) as file:
        write(file, archive.target, members, advance)


def _write_together(archive: ZipFile, target: Path, members: Members, advance: Callable[[int], object]) -> None:
    with new_folder(target, wait=False) as folder:
        require_room(target, _bytes(members))
        for place, info in members.items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            _copy(archive, info, folder / place)
            advance(1)


def _write_each(archive: ZipFile, target: Path, members: Members, advance: Callable[[int], object]) -> None:
    for place, info in members.items():
        if not (target / place).exists():
            with new_file(target / place) as path:
                _copy(archive, info, path)
        advance(1)


def _copy(archive: ZipFile, info: ZipInfo, path: Path) -> None:
    with archive.open(info) as source, path.open("xb") as target:
        shutil.copyfileobj(source, target, 1 << 20)


def _bytes(members: Members) -> int:
    return sum(info.file_size for info in members.values())


@contextmanager
def _opened(file: Path) -> Iterator[ZipFile]:
    """An open zip file, whose faults are an AnnotationError; RuntimeError is what a password comes as."""
    try:
        with ZipFile(file) as archive:
            yield archive
    except (BadZipFile, RuntimeError, zlib.error, EOFError) as error:
        raise AnnotationError(
            f"{file} cannot be unpacked: {error}", hint="fetch the archive again; an interrupted download looks like this"
        ) from error
