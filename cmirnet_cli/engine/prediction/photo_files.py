"""Finding the photographs that files, folders and patterns name: each one once, and a count of what is left out."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from glob import escape, glob, has_magic
from itertools import islice, takewhile
from pathlib import Path

from cmirnet_cli.errors import DataError
from cmirnet_cli.images.formats import KINDS, is_read, kind_of, needs_of, suffixes
from cmirnet_cli.storage.uris import is_container

LINKED_AGAIN = "doubly linked"
"""The kind of files that are left out because another link leads to them as well."""
MACOS_ARCHIVE = "__MACOSX"
"""The folder of side files in archives that macOS makes."""


@dataclass(frozen=True)
class PhotoFile:
    """An image file, and the relative path that its results are filed under."""

    path: Path
    name: Path


@dataclass(frozen=True)
class FoundPhotos:
    """Image files in order, and how many files were left out by kind, such as `HEIC`: those that cannot be read here, and side files."""

    photos: Sequence[PhotoFile]
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def notice(self) -> str:
        """What was left out, in words; empty where nothing was."""
        return left_out_notice(self.left_out)


def left_out_notice(left_out: Mapping[str, int]) -> str:
    """How many files of which kinds were left out, and what reads them: "1 HEIC and 2 AVIF files left out (…)"."""
    if not left_out:
        return ""
    *most, last = [f"{count:,} {kind}" for kind, count in left_out.items()]
    counted = f"{', '.join(most)} and {last}" if most else last
    files = "file" if list(left_out.values())[-1] == 1 else "files"
    needs = needs_of(left_out)
    return f"{counted} {files} left out" + (f" ({needs})" if needs else "")


def find_photos(inputs: Sequence[str], *, recursive: bool = False, exclude: Iterable[Path] = ()) -> FoundPhotos:
    """The images that files, folders and glob patterns name, in order.

    A linked folder is searched as if it stood there, but no folder twice: links that lead back end there.

    Args:
        inputs: files, folders and patterns; results are filed as seen from the folder, or from the part of a pattern without wildcards.
        recursive: whether folders are searched to the bottom.
        exclude: folders that are not searched where they lie inside an input: those that results go to.

    Raises:
        DataError: an input names nothing, or a folder below it cannot be read.
    """
    excluded = frozenset(folder.resolve() for folder in exclude)
    found = [_photos_of(entry, recursive, excluded) for entry in inputs]
    left_out: Counter[str] = sum((Counter(each.left_out) for each in found), Counter())
    return FoundPhotos([photo for each in found for photo in each.photos], left_out)


def listed_photo(path: Path, written: Path) -> PhotoFile:
    """The image that a list names, filed as it is `written` there, or under its bare name where that leads out of the list's folder."""
    return PhotoFile(path, Path(written.name) if written.is_absolute() or ".." in written.parts else written)


def _photos_of(entry: str, recursive: bool, exclude: Set[Path]) -> FoundPhotos:
    path = Path(entry).expanduser()
    if path.is_dir():
        return _in_folder(path, recursive, exclude)
    if path.exists():
        return FoundPhotos([PhotoFile(path, Path(path.name))])
    if has_magic(entry):
        return _matching(path, exclude)
    raise DataError(f"{entry} does not exist", hint="give image files, folders or a quoted pattern such as 'photos/*.jpg'")


def _in_folder(folder: Path, recursive: bool, exclude: Set[Path]) -> FoundPhotos:
    searched = folders_once(folder, exclude)
    pictures = [file for _, files in (searched if recursive else islice(searched, 1)) for file in files if kind_of(file)]
    counts = Counter(map(kind_of, pictures))
    left_out = {kind: counts[kind] for kind in KINDS if counts[kind] and not is_read(kind)}
    found = _each_once([file for file in pictures if kind_of(file) not in left_out], folder, left_out)
    if not found.photos:
        hint = "name a folder that holds some; a quoted pattern such as 'photos/**/*.jpg' also finds those in folders below"
        if archive := next((file for file in folder.iterdir() if is_container(file.name)), None):
            hint = f"name the archives themselves: '{folder}/*{archive.suffix}'"
        found_instead = f"; {left_out_notice(left_out)}" if left_out else ""
        raise DataError(f"{folder} holds no images ({', '.join(suffixes())}){found_instead}", hint=hint)
    return found


def _matching(pattern: Path, exclude: Set[Path]) -> FoundPhotos:
    fixed = fixed_part(pattern)
    files = [file for file in sorted(set(_glob(pattern.parts))) if file.is_file()]
    inside = [folder for folder in exclude if fixed.resolve() in folder.parents]
    files = [file for file in files if not any(file.parent.resolve().is_relative_to(folder) for folder in inside)]
    if not files:
        raise DataError(f"no file matches {pattern}", hint="** matches any folders, * any part of a name")
    return _each_once(files, fixed)


def fixed_part(pattern: Path) -> Path:
    """The part of a pattern before its first wildcard, which results are filed as seen from."""
    return Path(*takewhile(lambda part: not has_magic(part), pattern.parts))


def _each_once(files: Sequence[Path], root: Path, left_out: Mapping[str, int] | None = None) -> FoundPhotos:
    """Files, filed as seen from `root`; of several links to one file, and the file itself, the file, or else the first link."""
    real = {file: os.path.realpath(file) for file in files}
    chosen: dict[str, Path] = {}
    for file in sorted(files, key=lambda file: real[file] != str(file.absolute())):
        chosen.setdefault(real[file], file)
    photos = [PhotoFile(file, file.relative_to(root)) for file in files if chosen[real[file]] == file]
    again = {LINKED_AGAIN: len(files) - len(photos)} if len(photos) < len(files) else {}
    return FoundPhotos(photos, {**(left_out or {}), **again})


def _glob(parts: Sequence[str]) -> Iterator[Path]:
    """What a pattern matches. Python's own `glob` goes round in circles of links; here `**` stands for each folder once."""
    if "**" not in parts:
        yield from map(Path, glob(str(Path(*parts))))
        return
    place = parts.index("**")
    for base in glob(str(Path(*parts[:place]))):
        for folder, _ in folders_once(Path(base), hidden=False):
            yield from _glob((escape(str(folder)), *(parts[place + 1 :] or ("*",))))


def folders_once(top: Path, exclude: Set[Path] = frozenset(), *, hidden: bool = True) -> Iterator[tuple[Path, Iterator[Path]]]:
    """A folder and all below it in order, each with its files. Links to folders are followed once all others are done.

    No folder comes twice, and a link to a folder that holds the link itself is not followed. Of a folder's files only the names are in
    memory; each path is made when it is taken.

    Raises:
        DataError: a folder cannot be read.
    """
    seen = set(exclude)
    starts = deque([top])
    while starts:
        start = starts.popleft()
        if start != top and start.parent.resolve().is_relative_to(start.resolve()):
            continue
        for directory, folders, files in os.walk(start, onerror=_refuse):
            here = Path(directory)
            if here != top and here.resolve() in seen:
                folders.clear()
                continue
            seen.add(here.resolve())
            below = [here / name for name in sorted(folders) if name != MACOS_ARCHIVE and (hidden or not name.startswith("."))]
            starts += [folder for folder in below if folder.is_symlink()]
            folders[:] = [folder.name for folder in below if not folder.is_symlink()]
            files.sort()
            yield here, map(here.joinpath, files)


def _refuse(problem: OSError) -> None:
    raise DataError(f"{problem.filename} cannot be read: {problem.strerror}", hint="change its permissions, or move it out") from problem
