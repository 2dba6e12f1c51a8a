"""The published archives as they come, unpacked to where `layout` looks: `refcoco.zip` with annotations, `train2014.zip` with photographs.

An archive lies beside the folder it stands for, or in the folder that data sets lie in. It is unpacked where what it holds is missing.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias
from zipfile import BadZipFile, ZipFile, ZipInfo

from cmirnet_cli.durable import new_file, new_folder
from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.refer.images import PICTURE, holds_pictures, is_path, stays_inside
from cmirnet_cli.refer.layout import annotation_folders, has_annotations, image_folders_of

ANNOTATIONS = re.compile(r"g?refs\(.+\)\.(p|json)|instances\.json")
"""Names of the annotation files of a data set."""

Members: TypeAlias = Mapping[Path, ZipInfo]
"""Path below an archive's target → the member that belongs there."""

_FROM_A_MAC = "__MACOSX"
_MOST_INFLATED = 100
"""Times its own size; annotations as text come to 20, photographs to 1."""


@dataclass(frozen=True)
class Archive:
    """A zip file of which something is wanted.

    Attributes:
        file: where it lies.
        target: the folder it stands for.
        wanted: the names of the files that are taken; all others stay in it.
    """

    file: Path
    target: Path
    wanted: re.Pattern[str]

    @property
    def members(self) -> Members:
        """What is taken. Raises AnnotationError: it is no whole zip file, or a file would lie outside `target`."""
        with _opened(self.file) as archive:
            return {Path(place): info for info in archive.infolist() if (place := self._place(info)) is not None}

    def _place(self, info: ZipInfo) -> PurePosixPath | None:
        """Folders above one that is called like `target` do not count, nor does that one."""
        path = PurePosixPath(info.filename)
        if info.is_dir() or not self.wanted.fullmatch(path.name) or _FROM_A_MAC in path.parts:
            return None
        if not is_path(info.filename) or not stays_inside(info.filename):
            raise AnnotationError(f"{self.file} holds a file that would lie elsewhere: {info.filename!r}", hint="fetch the archive again")
        parts = path.parts
        return PurePosixPath(*parts[parts.index(self.target.name) + 1 :]) if self.target.name in parts[:-1] else path


def find_archives(
    dataset: str, split_by: str, data_root: Path, annotations: Path | None = None, images: Path | None = None
) -> list[Archive]:
    """The archives that have what is missing of a data set, annotations first; arguments as for `find_layout`."""
    homes = annotation_folders(dataset, data_root, annotations)
    found = []
    if not has_annotations(dataset, split_by, data_root, annotations) or not any((home / "instances.json").is_file() for home in homes):
        found += _first([(home.with_name(f"{dataset}.zip"), home) for home in homes], ANNOTATIONS)
    folders = image_folders_of(homes[0], data_root, images, dataset)
    if not any(folder.is_dir() and holds_pictures(folder) for folder in folders):
        beside = [(folder.with_name(f"{folder.name}.zip"), folder) for folder in folders]
        names = [] if images else [folder.name for folder in folders if folder.name != dataset]
        usual = [(data_root / f"{name}.zip", data_root / "images" / name) for name in names]
        found += _first([(file, target) for file, target in [*beside, *usual] if not target.exists()], PICTURE)
    return found


def _first(places: list[tuple[Path, Path]], wanted: re.Pattern[str]) -> list[Archive]:
    return [Archive(file, target, wanted) for file, target in places if file.is_file()][:1]


def unpack(archive: Archive, advance: Callable[[int], object]) -> None:
    """Write the wanted files of an archive that are not there yet; photographs appear all together or not at all.

    Raises:
        AnnotationError: it is no whole zip file, has a password, or was made to fill a disk; nothing of what it holds is run.
        CmirnetError: the files cannot be written.
    """
    members = archive.members
    _refuse_bomb(archive, members)
    write = _write_together if archive.wanted is PICTURE else _write_each
    with _opened(archive.file) as file:
        write(file, archive.target, members, advance)


def _write_together(archive: ZipFile, target: Path, members: Members, advance: Callable[[int], object]) -> None:
    with new_folder(target, wait=False) as folder:
        _require_room(folder, members)
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


def _refuse_bomb(archive: Archive, members: Members) -> None:
    if _bytes(members) > _MOST_INFLATED * archive.file.stat().st_size:
        raise AnnotationError(f"{archive.file} unpacks to more than {_MOST_INFLATED} times its size", hint="it was made to fill a disk")


def _require_room(folder: Path, members: Members) -> None:
    if (free := shutil.disk_usage(folder).free) < (needed := _bytes(members)):
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {needed} bytes are needed and {free} are free")


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
            f"{file} cannot be unpacked: {error}", hint="fetch the archive again; a download that broke off looks like this"
        ) from error
