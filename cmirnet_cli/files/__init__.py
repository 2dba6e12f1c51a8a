"""Files and folders that appear whole or not at all, also when the program is killed or the machine loses power.

Each is made under a temporary name beside its place, and renamed when it is complete. A killed process leaves the temporary one behind;
the next one that writes there removes it, unless a living process holds it.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from cmirnet_cli.errors import CmirnetError, UsageError
from cmirnet_cli.files.locks import FOLDERS_OPEN, held

if TYPE_CHECKING:
    from PIL import Image

_PREFIX, _SUFFIX = ".cmirnet-", ".tmp"


@contextmanager
def new_file(target: Path, failure: type[CmirnetError] = CmirnetError, *, wait: bool = True) -> Iterator[Path]:
    """A name nobody else has, beside `target`: create it with mode "x"; it becomes `target` when the block ends well.

    Missing parent folders are made. A file that has the name already is replaced in one step.

    Args:
        target: the file's place.
        failure: class of the error.
        wait: whether to wait for the disk. Without, the file is whole if the program is killed, but may be empty if the machine loses
            power soon after: for thousands of files that can be made again, which a disk takes much faster together.

    Raises:
        CmirnetError: of the class `failure`: the file cannot be written (disk full, read-only folder).
    """
    temporary = _beside(target)
    with writing(target, failure, temporary):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            if wait:
                sync(temporary)
            temporary.replace(target)
            if wait:
                sync(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


def new_folder(target: Path, failure: type[CmirnetError] = CmirnetError, *, wait: bool = True) -> AbstractContextManager[Path]:
    """An empty folder beside `target`; with all that the block puts into it, it becomes `target` when the block ends well.

    What killed writers of the same folder left beside it goes first. `wait` as for `new_file`.

    Raises:
        CmirnetError: of the class `failure`: it cannot be written, or `target` exists and is not empty.
    """
    return _folder(target, failure, wait, Path.rename)


@contextmanager
def replaced_folder(target: Path, failure: type[CmirnetError] = CmirnetError) -> Iterator[Path]:
    """As `new_folder`, but what is at `target` makes way, at the last moment, when the new folder is safe.

    Where `target` is a link, the folder that it points to is the one that is replaced, or made. The folder above that one is not made: it
    may be on a disk that is not there.
    """
    with writing(target, failure):
        place = Path(os.path.realpath(target)) if target.is_symlink() else target
    with writing(place, failure):
        if place is not target:
            place.parent.stat()
    old = place.with_name(f".{place.name}.old")
    with _folder(place, failure, True, partial(exchange, old=old)) as building:
        yield building
    _discard(old)


@contextmanager
def _folder(target: Path, failure: type[CmirnetError], wait: bool, install: Callable[[Path, Path], object]) -> Iterator[Path]:
    """A writer holds its folder before it is marked, until it dies: a marked folder that nobody holds is a dead one's."""
    mark = _mark(target)
    unmarked, marked = _beside(target), _beside(target, mark)
    with writing(target, failure, unmarked, marked):
        try:
            sweep(target.parent, mark)
            unmarked.mkdir(parents=True)
            with held(unmarked) as locked:
                temporary = unmarked.rename(marked) if locked else unmarked
                yield temporary
                for path in (*temporary.rglob("*"), temporary) if wait else ():
                    sync(path)
                install(temporary, target)
            if wait:
                sync(target.parent)
        finally:
            for leftover in (unmarked, marked):
                shutil.rmtree(leftover, ignore_errors=True)


def _beside(target: Path, mark: str = "") -> Path:
    """A name nobody has; short, so that a `target` with the longest name that a file system allows can have it beside it."""
    return target.with_name(f"{_PREFIX}{mark}{token_hex(8)}{_SUFFIX}")


def _mark(target: Path) -> str:
    """The same for all writers of `target` under one running system: over a network disk, locks may not reach another computer.

    Where the system does not say which one it is, no two marks are the same.
    """
    try:
        system = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        system = token_hex(8).encode("ascii")
    return hashlib.sha256(system + os.fsencode(target.name)).hexdigest()[:8] + "-"


def sweep(folder: Path, mark: str = "", *, files_only: bool = False) -> None:
    """Remove what killed writers left unfinished in `folder`: everything, or with a mark the folders that have it and nobody holds.

    With `files_only`, folders stay, which other programs may be filling.
    A marked one that may not be opened or removed does no harm; one that is gone by now has just got its name.
    """
    for leftover in folder.glob(f"{_PREFIX}{mark}*{_SUFFIX}"):
        if mark:
            with suppress(OSError), held(leftover) as dead:
                if dead:
                    shutil.rmtree(leftover)
        elif not (files_only and leftover.is_dir()):
            _discard(leftover)


def _discard(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def exchange(new: Path, target: Path, old: Path) -> None:
    """Rename `new` to `target`; what has that name becomes `old`, and has it again if this fails."""
    if target.exists():
        _discard(old)
        target.rename(old)
    try:
        new.rename(target)
    finally:
        if old.exists() and not target.exists():
            old.rename(target)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's names where the system can do that, are on the disk."""
    if FOLDERS_OPEN or not path.is_dir():
        descriptor = os.open(path, os.O_RDONLY if FOLDERS_OPEN else os.O_RDWR)  # Windows waits for what it may write
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def writing(target: Path, failure: type[CmirnetError] = CmirnetError, *temporary: Path) -> Iterator[None]:
    """Makes an error of the class `failure` of one that the system has while `target` is written, by way of `temporary`.

    Errors about other files, which the block may read, stay as they are.
    """
    try:
        yield
    except OSError as error:
        if not _about(error, target, *temporary):
            raise
        hint = "check the free space and the folder's permissions"
        raise failure(f"cannot write {target}: {error.strerror or error}", hint=hint) from error


def _about(error: OSError, *written: Path) -> bool:
    """Whether the system's error names one of these, something in it or a folder that holds it, or (HDF5's, a full disk's) no file."""
    if not isinstance(error.filename, (str, bytes)):
        return error.errno is not None
    named = Path(os.fsdecode(error.filename)).absolute()
    return any(named.is_relative_to(path.absolute()) or path.absolute().is_relative_to(named) for path in written)


def write_bytes(target: Path, data: bytes, *, wait: bool = True) -> None:
    """Write a file whole or not at all; `wait` as for `new_file`.

    Raises:
        CmirnetError: as for `new_file`.
    """
    with new_file(target, wait=wait) as path, path.open("xb") as file:
        file.write(data)


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all; raises what `write_bytes` raises."""
    write_bytes(target, text.encode("utf-8"))


def picture_format(path: Path) -> str:
    """The picture format that the suffix of `path` names.

    Raises:
        UsageError: it names none.
    """
    from PIL import Image

    form = Image.registered_extensions().get(path.suffix.lower())
    if form not in Image.SAVE:
        raise UsageError(f"cannot write a picture as {path.name}: {path.suffix or 'no suffix'} is not a picture format", hint="use .png")
    return form


def write_image(path: Path, image: Image.Image, *, wait: bool = True) -> None:
    """Write a picture in the format that the suffix of `path` names, whole or not at all; `wait` as for `new_file`.

    Raises:
        UsageError: as for `picture_format`.
        CmirnetError: as for `write_bytes`.
    """
    write_bytes(path, image_bytes(image, picture_format(path)), wait=wait)


def image_bytes(image: Image.Image, form: str = "PNG") -> bytes:
    """A picture as a file of a format has it, by PIL's name."""
    encoded = io.BytesIO()
    image.save(encoded, form, quality=92)
    return encoded.getvalue()


def sha256_of(path: Path) -> str:
    """Sha256 of a file's bytes, as hexadecimal text."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
